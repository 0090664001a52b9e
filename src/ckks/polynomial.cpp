#include "ckks/polynomial.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/error.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
/// The coefficients of one power, slot by slot of a period; one entry where all slots have the same.
using Slots = std::vector<Complex>;
using Coefficients = SlotVectors;

bool is_zero(const Slots& c) {
  return std::all_of(c.begin(), c.end(), [](Complex value) { return value == Complex(0); });
}

int degree_of(const Coefficients& p) { return static_cast<int>(p.size()) - 1; }

void trim(Coefficients& p) {
  while (p.size() > 1 && is_zero(p.back())) p.pop_back();
}

/// p = quotient * B_split + remainder for B the monomials or Chebyshev polynomials; split <= degree < 2 * split.
std::pair<Coefficients, Coefficients> divide(const Coefficients& p, int split, PolynomialBasis basis) {
  const auto middle = p.begin() + split;
  Coefficients quotient(middle, p.end()), remainder(p.begin(), middle);
  if (basis == PolynomialBasis::kChebyshev) {
    // T_(split + k) = 2 T_split T_k - T_(split - k)
    for (int k = 1; k <= degree_of(quotient); ++k) {
      Slots& upper = quotient[static_cast<std::size_t>(k)];
      Slots& lower = remainder[static_cast<std::size_t>(split - k)];
      for (std::size_t s = 0; s < upper.size(); ++s) {
        lower[s] -= upper[s];
        upper[s] *= 2;
      }
    }
  }
  trim(quotient);
  trim(remainder);
  return {std::move(quotient), std::move(remainder)};
}

/// The values B_i(x), each made once, at depth ceil(log2 i) below x and relinearised.
class Powers {
 public:
  Powers(const Evaluator& evaluator, const Ciphertext& x, PolynomialBasis basis)
      : evaluator_(evaluator), basis_(basis) {
    values_.emplace(1, x.clone());
  }

  const Ciphertext& get(int i) {
    const auto found = values_.find(i);
    return found != values_.end() ? found->second : values_.emplace(i, make(i)).first->second;
  }

  Ciphertext at_level(int i, int level) {
    Ciphertext out = get(i).clone();
    evaluator_.drop_to_level_inplace(out, level);
    return out;
  }

 private:
  /// B_i from its two halves, the larger one first.
  Ciphertext make(int i) {
    const int a = (i + 1) / 2, b = i / 2;
    Ciphertext product = a == b ? evaluator_.square(get(a)) : multiply(a, b);
    if (basis_ == PolynomialBasis::kChebyshev) complete_chebyshev(product, a - b);
    evaluator_.relinearize_rescale_inplace(product);
    return product;
  }

  Ciphertext multiply(int a, int b) {
    const Ciphertext &left = get(a), &right = get(b);
    if (left.level > right.level) return evaluator_.multiply(at_level(a, right.level), right);
    if (left.level < right.level) return evaluator_.multiply(left, at_level(b, left.level));
    return evaluator_.multiply(left, right);
  }

  /// T_(a + b) = 2 T_a T_b - T_(a - b), on the product before it is rescaled.
  void complete_chebyshev(Ciphertext& product, int difference) {
    evaluator_.add_inplace(product, product);
    if (difference == 0) return evaluator_.add_constant_inplace(product, -1);
    Ciphertext lower = at_level(difference, product.level);
    evaluator_.mul_constant_inplace(lower, 1, product.scale / lower.scale);
    lower.scale = product.scale;
    evaluator_.sub_inplace(product, lower);
  }

  const Evaluator& evaluator_;
  PolynomialBasis basis_;
  std::map<int, Ciphertext> values_;
};

class Evaluation {
 public:
  Evaluation(const Evaluator& evaluator, const Ciphertext& x, PolynomialBasis basis, int degree)
      : evaluator_(evaluator),
        basis_(basis),
        powers_(evaluator, x, basis),
        leaf_size_(1 << ((std::bit_width(static_cast<unsigned>(degree)) + 1) / 2)) {}

  /// p(x) at `level` with exactly `scale`.
  Ciphertext rescaled(const Coefficients& p, int level, double scale) {
    Ciphertext sum = unscaled(p, level + 1, scale * evaluator_.parameters().level_modulus(level + 1));
    evaluator_.relinearize_rescale_inplace(sum);
    sum.scale = scale;
    return sum;
  }

 private:
  /// p(x) at `level` with exactly `scale`, where one rescaling is still to come; maybe with three parts. The products
  /// it holds are of operands at `level`, so p of degree up to 2^depth(level) - 1 with a leading part that fits, see
  /// below.
  Ciphertext unscaled(const Coefficients& p, int level, double scale) {
    const int degree = degree_of(p);
    if (is_leaf(p, level)) return linear_combination(p, level, scale);
    const int split = static_cast<int>(std::bit_floor(static_cast<unsigned>(degree)));
    const auto [quotient, remainder] = divide(p, split, basis_);
    if (degree_of(quotient) == 0) return constant_quotient(quotient[0], split, remainder, level, scale);
    Ciphertext product = times_power(quotient, split, level, scale);
    if (degree_of(remainder) > 0 || !is_zero(remainder[0]))
      evaluator_.add_inplace(product, unscaled(remainder, level, scale));
    return product;
  }

  /// p(x) B_split(x) at `level` with exactly `scale`, where one rescaling is still to come.
  Ciphertext times_power(const Coefficients& p, int split, int level, double scale) {
    const Ciphertext factor = rescaled(p, level, scale / powers_.get(split).scale);
    Ciphertext product = evaluator_.multiply(factor, powers_.at_level(split, level));
    product.scale = scale;
    return product;
  }

  /// Short polynomials are sums of constants times powers, unless a power they need lies below `level`: that happens to
  /// the leading part only, which is then split further.
  bool is_leaf(const Coefficients& p, int level) {
    const int degree = degree_of(p);
    if (degree < 2) return true;
    return degree < leaf_size_ && powers_.get(1).level - polynomial_depth(degree - 1) >= level;
  }

  Ciphertext constant_quotient(const Slots& c, int split, const Coefficients& remainder, int level, double scale) {
    Coefficients p = remainder;
    p.resize(static_cast<std::size_t>(split) + 1, Slots(c.size(), 0));
    p.back() = c;
    if (is_leaf(remainder, level)) return linear_combination(p, level, scale);
    Ciphertext sum = unscaled(remainder, level, scale);
    p.assign(p.size(), Slots(c.size(), 0));
    p.back() = c;
    evaluator_.add_inplace(sum, linear_combination(p, level, scale));
    return sum;
  }

  /// sum_i p_i B_i(x), read from the powers where they are: one pass over each limb, coefficients as two residues a
  /// limb and slot of their period.
  Ciphertext linear_combination(const Coefficients& p, int level, double scale) {
    const Parameters& parameters = evaluator_.parameters();
    const ring::Basis basis = parameters.q_basis(level);
    Ciphertext sum{.parts = {}, .level = level, .scale = scale, .parameters_id = parameters.id()};
    for (int i = 0; i < 2; ++i) sum.parts.emplace_back(parameters.n(), basis, ring::Domain::kNtt);
    std::vector<const Ciphertext*> terms;
    std::vector<Plaintext> factors;
    for (int i = 1; i <= degree_of(p); ++i) {
      const Slots& c = p[static_cast<std::size_t>(i)];
      if (is_zero(c)) continue;
      terms.push_back(&powers_.get(i));
      factors.push_back(evaluator_.encoder().encode(std::span(c), scale / terms.back()->scale, basis, true));
    }
    const int run = std::countr_zero(parameters.n()) - 1 - std::countr_zero(p[0].size());
    ring::for_each_limb(basis.size(), (2 * terms.size() + 2) * parameters.n(), [&](std::size_t j) {
      std::vector<const std::uint32_t*> a(terms.size()), b(terms.size());
      for (const std::size_t part : {0, 1}) {
        for (std::size_t t = 0; t < terms.size(); ++t) {
          a[t] = terms[t]->parts[part].limb(j);
          b[t] = factors[t].poly.limb(j);
        }
        ring::kernels().dot(sum.parts[part].limb(j), a.data(), b.data(), a.size(), run, false, parameters.n(),
                            parameters.ring().modulus(basis[j]));
      }
    });
    if (!is_zero(p[0])) {
      evaluator_.add_plain_inplace(sum, evaluator_.encoder().encode(std::span(p[0]), scale, basis, false));
    }
    return sum;
  }

  const Evaluator& evaluator_;
  PolynomialBasis basis_;
  Powers powers_;
  int leaf_size_;
};

}  // namespace

int polynomial_depth(int degree) {
  require(degree >= 0, ErrorKind::kInvalidArgument, "a polynomial cannot have degree {}", degree);
  return std::bit_width(static_cast<unsigned>(degree));
}

Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x, std::span<const double> coefficients,
                               PolynomialBasis basis, double output_scale) {
  SlotVectors p;
  for (const double c : coefficients) p.push_back({c});
  return evaluate_polynomial(evaluator, x, p, basis, output_scale);
}

Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x, std::span<const Complex> coefficients,
                               PolynomialBasis basis, double output_scale) {
  SlotVectors p;
  for (const Complex c : coefficients) p.push_back({c});
  return evaluate_polynomial(evaluator, x, p, basis, output_scale);
}

Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x, const SlotVectors& coefficients,
                               PolynomialBasis basis, double output_scale) {
  require(!coefficients.empty(), ErrorKind::kInvalidArgument, "evaluate_polynomial: there are no coefficients");
  for (const Slots& slots : coefficients) {
    require(!slots.empty() && slots.size() == coefficients.front().size(), ErrorKind::kInvalidArgument,
            "evaluate_polynomial: coefficients for {} and for {} slots", coefficients.front().size(), slots.size());
    for (const Complex c : slots) {
      require(std::isfinite(c.real()) && std::isfinite(c.imag()), ErrorKind::kInvalidArgument,
              "evaluate_polynomial: a coefficient is {} + {} i", c.real(), c.imag());
    }
  }
  require(std::isfinite(output_scale) && output_scale > 0, ErrorKind::kInvalidArgument,
          "evaluate_polynomial: the output scale must be positive and finite, got {}", output_scale);
  require(x.parts.size() == 2, ErrorKind::kInvalidArgument,
          "evaluate_polynomial: expected a ciphertext of 2 parts, got {}; relinearize products first", x.parts.size());
  const int degree = static_cast<int>(coefficients.size()) - 1;
  const int depth = polynomial_depth(degree);
  require(depth <= x.level, ErrorKind::kInvalidArgument,
          "evaluate_polynomial: degree {} takes {} levels, the ciphertext is at level {}", degree, depth, x.level);

  Coefficients p = coefficients;
  trim(p);
  Evaluation evaluation(evaluator, x, basis, std::max(degree_of(p), 1));
  if (depth > 0) return evaluation.rescaled(p, x.level - depth, output_scale);
  Ciphertext out = x.clone();
  evaluator.mul_constant_inplace(out, 0, output_scale / x.scale);
  out.scale = output_scale;
  evaluator.add_plain_inplace(out,
                              evaluator.encoder().encode(std::span(p[0]), output_scale, out.parts[0].basis(), false));
  return out;
}

}  // namespace hearth::ckks
