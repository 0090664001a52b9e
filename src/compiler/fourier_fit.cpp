#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "base/error.h"
#include "compiler/fourier_least_squares.h"
#include "compiler/fourier_series.h"

namespace hearth::compiler {
namespace {

using Function = std::function<double(double)>;

constexpr int kSamplesPerDegree = 16;   // of the circle; errors oscillate about once per 1/n of it
constexpr int kChecksPerSample = 4;     // of the grid on which the quality is measured
constexpr double kHoldWeight = 1e-2;    // of the guard band's inner part, relative to the range
constexpr double kTurnWeight = 1e-3;    // of the rest
constexpr double kDensityFloor = 1e-2;  // of the mean
constexpr int kReweightings = 24;       // most that kUniform does
constexpr int kPatience = 10;           // it stops after so many without progress

/// The function to be fitted, on the whole circle, with x scaled so that the range is [-1, 1].
class Target {
 public:
  Target(const Function& f, double bound, double rho, int degree)
      : f_(f), bound_(bound), width_(1 / rho - 1), low_(f(-bound)), high_(f(bound)) {
    // A turn from one side to the other within a part of the circle so much shorter than 1/n rings. Found by
    // experiment (docs/bootstrapping.md): with 4.8 it overshoots by about a hundredth.
    const double half_guard = std::numbers::pi * (1 - rho);
    hold_ = std::clamp(1 - 4.8 / (half_guard * degree), 0.0, 0.5);
  }

  double low() const { return low_; }
  double high() const { return high_; }
  double edge() const { return 1 + hold_ * width_; }
  bool holds(double u) const { return std::abs(u) <= edge(); }

  /// u in [-1/rho, 1/rho].
  double operator()(double u) const {
    if (std::abs(u) <= 1) return f_(u * bound_);
    const double side = u > 0 ? high_ : low_;
    const double other = u > 0 ? low_ : high_;
    const double progress = std::clamp((std::abs(u) - edge()) / ((1 - hold_) * width_), 0.0, 1.0);
    return side + (other - side) * step(progress / 2);
  }

 private:
  /// From 0 to 1 with two continuous derivatives, 1/2 at 1/2.
  static double step(double s) { return s * s * s * (10 + s * (6 * s - 15)); }

  const Function& f_;
  double bound_, width_, low_, high_, hold_ = 0;
};

/// Density of the inputs, mean about 1, on [-1, 1].
class Density {
 public:
  explicit Density(std::span<const double> cells) : cells_(cells.begin(), cells.end()) {
    if (cells_.empty()) cells_.push_back(1);
    double total = 0;
    for (const double cell : cells_) total += cell;
    for (double& cell : cells_) cell = std::max(cell * static_cast<double>(cells_.size()) / total, kDensityFloor);
  }

  double operator()(double u) const {
    const auto count = static_cast<double>(cells_.size());
    const double cell = std::clamp(std::floor((u + 1) / 2 * count), 0.0, count - 1);
    return cells_[static_cast<std::size_t>(cell)];
  }

 private:
  std::vector<double> cells_;
};

/// Points of the circle in ascending order: a uniform grid, the ends of the range and the kinks.
std::vector<double> grid(double rho, int points, double bound, std::span<const double> kinks) {
  std::vector<double> u = {-1, 1};
  for (const double kink : kinks) {
    if (std::abs(kink) <= bound) u.push_back(kink / bound);
  }
  for (int i = 0; i < points; ++i) u.push_back((2 * (i + 0.5) / points - 1) / rho);
  std::sort(u.begin(), u.end());
  u.erase(std::unique(u.begin(), u.end()), u.end());
  return u;
}

/// The part of the circle each point stands for: half way to its neighbours, in units where the range is 1.
std::vector<double> cell_sizes(std::span<const double> u, double rho) {
  const std::size_t m = u.size();
  std::vector<double> size(m);
  for (std::size_t i = 0; i < m; ++i) {
    const double before = i > 0 ? u[i - 1] : u[m - 1] - 2 / rho;
    const double after = i + 1 < m ? u[i + 1] : u[0] + 2 / rho;
    size[i] = (after - before) / 4;
  }
  return size;
}

struct Samples {
  std::vector<double> u, value, weight;
};

Samples sample(const Target& target, const Density& density, double bound, const FourierFitOptions& options,
               std::span<const double> kinks) {
  Samples s;
  s.u = grid(options.rho, kSamplesPerDegree * (options.degree + 1), bound, kinks);
  s.weight = cell_sizes(s.u, options.rho);
  for (std::size_t i = 0; i < s.u.size(); ++i) {
    const double u = s.u[i];
    s.value.push_back(target(u));
    s.weight[i] *= std::abs(u) <= 1 ? density(u) : target.holds(u) ? kHoldWeight : kTurnWeight;
  }
  return s;
}

bool all_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

/// After Lawson 1961: weights grow where the error is large, until it is equally large everywhere. The square root (he
/// has none) loses no quality here and keeps the error small between its peaks.
std::vector<std::complex<double>> reweighted_fit(Samples& s, const FourierLeastSquares& problem) {
  std::vector<std::complex<double>> best, c;
  double best_error = INFINITY;
  for (int round = 0, stale = 0; round < kReweightings && stale < kPatience; ++round) {
    c = problem.solve(s.weight, s.value);
    std::vector<double> error(s.u.size());
    double largest = 0;
    for (std::size_t i = 0; i < error.size(); ++i) {
      if (std::abs(s.u[i]) > 1) continue;
      error[i] = std::abs(problem.evaluate(c, i) - s.value[i]);
      largest = std::max(largest, error[i]);
    }
    ++stale;
    if (largest < best_error) best_error = largest, best = c, stale = 0;
    if (largest == 0) break;
    double before = 0, after = 0;
    for (std::size_t i = 0; i < error.size(); ++i) {
      if (std::abs(s.u[i]) > 1) continue;
      before += s.weight[i];
      s.weight[i] *= std::sqrt(error[i] / largest + 1e-3);
      after += s.weight[i];
    }
    for (std::size_t i = 0; i < error.size(); ++i) {
      if (std::abs(s.u[i]) <= 1) s.weight[i] *= before / after;
    }
  }
  return best;
}

/// Fills in the fields that say how good the series is.
void measure(FourierSeries& series, const Target& target, const Density& density, std::span<const double> kinks) {
  const int points = kChecksPerSample * kSamplesPerDegree * (series.degree() + 1);
  double squares = 0, mass = 0, f_low = INFINITY, f_high = -INFINITY, low = INFINITY, high = -INFINITY;
  series.saturation_edge = target.edge() * series.bound;
  const std::vector<double> u_grid = grid(series.rho, points, series.bound, kinks);
  const std::vector<double> cells = cell_sizes(u_grid, series.rho);
  for (std::size_t i = 0; i < u_grid.size(); ++i) {
    const double u = u_grid[i];
    const double got = series.evaluate(u * series.bound);
    const double want = target(u);
    if (std::abs(u) <= 1) {
      const double weight = density(u) * cells[i] * (std::abs(u) == 1 ? 0.5 : 1);
      series.max_error = std::max(series.max_error, std::abs(got - want));
      squares += weight * (got - want) * (got - want);
      mass += weight;
      f_low = std::min(f_low, want), f_high = std::max(f_high, want);
    }
    if (std::abs(u) >= 1) {
      if (target.holds(u)) series.saturation_error = std::max(series.saturation_error, std::abs(got - want));
      low = std::min(low, got), high = std::max(high, got);
    }
  }
  series.rms_error = std::sqrt(squares / mass);
  series.guard_overshoot = std::max({0.0, high - f_high, f_low - low});
}

void check(const Function& f, double bound, const FourierFitOptions& options) {
  constexpr auto kind = ErrorKind::kInvalidArgument;
  require(static_cast<bool>(f), kind, "fit_fourier needs a function, got an empty one");
  require(std::isfinite(bound) && bound > 0, kind, "the bound of a fit must be positive and finite, got {}", bound);
  require(options.degree >= 1 && options.degree <= 255, kind, "the degree of a fit must be in [1, 255], got {}",
          options.degree);
  require(options.rho >= 0.5 && options.rho <= 0.98, kind, "rho must be in [0.5, 0.98], got {}", options.rho);
  require(options.noise >= 1e-6 && options.noise <= 1, kind, "the noise a fit expects must be in [1e-6, 1], got {}",
          options.noise);
  double total = 0;
  for (const double cell : options.density) {
    require(std::isfinite(cell) && cell >= 0, kind, "a density must be finite and not negative, got {}", cell);
    total += cell;
  }
  require(options.density.empty() || (total > 0 && std::isfinite(total)), kind,
          "a density must have a positive finite sum, got {}", total);
}

}  // namespace

FourierSeries fit_fourier(const Function& f, double bound, const FourierFitOptions& options,
                          std::span<const double> kinks) {
  check(f, bound, options);
  const Target target(f, bound, options.rho, options.degree);
  const Density density(options.density);
  Samples samples = sample(target, density, bound, options, kinks);
  require(all_finite(samples.value), ErrorKind::kInvalidArgument,
          "the function to be fitted is not finite everywhere on [-{}, {}]; choose a smaller bound", bound, bound);

  std::vector<double> angles;
  for (const double u : samples.u) angles.push_back(std::numbers::pi * options.rho * u);
  const FourierLeastSquares problem(std::move(angles), options.degree, options.noise);
  FourierSeries series{.bound = bound, .rho = options.rho};
  series.coefficients = options.norm == FitNorm::kUniform ? reweighted_fit(samples, problem)
                                                          : problem.solve(samples.weight, samples.value);
  measure(series, target, density, kinks);
  return series;
}

}  // namespace hearth::compiler
