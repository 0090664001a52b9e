#pragma once

#include <complex>
#include <functional>
#include <span>
#include <vector>

namespace hearth::compiler {

/// A function of one real variable on [-bound, bound], as what an activation bootstrap evaluates
/// (docs/bootstrapping.md):
///   f(x) ~ Re sum_{k=0..n} c_k z^k,   z = exp(i pi rho x / bound),   period 2 bound / rho.
///
/// Between bound and half a period lies the guard band. In its inner part, up to saturation_edge, the series stays
/// close to f(+-bound), so that inputs slightly out of range saturate; in the rest it moves to the value of the other
/// side, monotonically but for guard_overshoot.
struct FourierSeries {
  double bound = 1;
  double rho = 0.9;
  std::vector<std::complex<double>> coefficients{0};  ///< c_0 (real) .. c_n

  // Quality, absolute, measured on a grid at least four times denser than the one fitted on.
  double max_error = 0;         ///< on [-bound, bound]
  double rms_error = 0;         ///< on [-bound, bound], under the density of FourierFitOptions
  double saturation_edge = 1;   ///< in units of x; at least bound
  double saturation_error = 0;  ///< largest distance from f(+-bound) on bound <= |x| <= saturation_edge
  double guard_overshoot = 0;   ///< how far values in the guard band leave the range that f has on [-bound, bound]

  int degree() const { return static_cast<int>(coefficients.size()) - 1; }
  double half_period() const { return bound / rho; }
  /// For any real x; periodic.
  double evaluate(double x) const;
  /// sum |c_k|: the largest value a partial sum can have.
  double coefficient_sum() const;
  /// sqrt(sum k^2 |c_k|^2): a relative error of z of rms e (complex) makes one of rms e * noise_gain / sqrt(2) in f
  /// when x is spread over the whole period.
  double noise_gain() const;
};

enum class FitNorm {
  kMeanSquare,  ///< least squares under the density: smallest rms error, error at a kink about twice the best possible
  kUniform      ///< smallest largest error (iteratively reweighted), the density then only starts the iteration
};

struct FourierFitOptions {
  int degree = 63;   ///< n in [1, 255]
  double rho = 0.9;  ///< in [0.5, 0.98]
  FitNorm norm = FitNorm::kMeanSquare;
  /// How often inputs fall into each of so many equal cells of [-bound, bound] (a histogram of the calibration, any
  /// normalisation); empty: equally often everywhere. No cell counts less than a hundredth of the mean cell.
  std::vector<double> density = {};
  /// Rms error of z that the fit must expect (in [1e-6, 1]): coefficients are held small so that error and noise
  /// together are smallest.
  double noise = 1e-4;
};

/// Fits f, which must be finite on [-bound, bound]. `kinks`: where in x its derivative jumps, if anywhere; needed for
/// kUniform to find the largest error, harmless otherwise. Deterministic. Milliseconds at degree 63. Throws
/// Error(kInvalidArgument).
FourierSeries fit_fourier(const std::function<double(double)>& f, double bound, const FourierFitOptions& options = {},
                          std::span<const double> kinks = {});

/// The fit of smallest degree among 15, 31, 63, 127 whose error (rms_error for kMeanSquare, max_error for kUniform) is
/// at most `target`; the one of degree 127 when none is. options.degree is ignored.
FourierSeries fit_fourier_to(const std::function<double(double)>& f, double bound, double target,
                             const FourierFitOptions& options = {}, std::span<const double> kinks = {});

}  // namespace hearth::compiler
