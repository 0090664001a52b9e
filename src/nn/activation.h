#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Functions of one real variable that networks apply element by element, and what others need to know about them.
namespace hearth::nn {

/// y = f(x); a and b are parameters of the Activation, 0 where a kind has none.
enum class ActivationKind {
  kRelu,         ///< max(x, 0)
  kClip,         ///< min(max(x, a), b); a may be -infinity, b infinity; a <= b
  kLeakyRelu,    ///< x for x >= 0, a x below
  kElu,          ///< x for x >= 0, a (exp(x) - 1) below
  kSigmoid,      ///< 1 / (1 + exp(-x))
  kHardSigmoid,  ///< min(max(a x + b, 0), 1), a != 0
  kSilu,         ///< x sigmoid(x); also called Swish
  kHardSwish,    ///< x min(max(x / 6 + 1 / 2, 0), 1)
  kGelu,         ///< x (1 + erf(x / sqrt(2))) / 2
  kGeluTanh,     ///< x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, an approximation of Gelu
  kTanh,
  kErf,
  kSoftplus,  ///< log(1 + exp(x))
  kMish,      ///< x tanh(softplus(x))
  kAbs,
};

/// An operator of the graph (graph.h), and a plain value for whoever fits or evaluates the function.
struct Activation {
  ActivationKind kind = ActivationKind::kRelu;
  double a = 0;
  double b = 0;
  bool operator==(const Activation&) const = default;
};

/// Clip, or Relu where that is what it is.
Activation clip(double low, double high);

/// Throws Error(kInvalidArgument) if the parameters break what is written at the kind or are not finite.
void check(const Activation& f);

/// f(x) for finite x, without overflow or cancellation on the way, tails that decay to 0 included.
double evaluate(const Activation& f, double x);

/// f(0) == 0: zeros around a tensor, or in slots that hold nothing, stay zeros.
bool zero_at_zero(const Activation& f);

/// f(c x) = c f(x) for every c > 0.
bool positively_homogeneous(const Activation& f);

/// x <= y implies f(x) <= f(y), so that f exchanges with maxima.
bool nondecreasing(const Activation& f);

/// Smallest interval that holds all of f's values, infinite ends included; where no bound is simple, all numbers.
std::pair<double, double> value_range(const Activation& f);

/// Where the first derivative jumps, ascending; empty for smooth functions.
std::vector<double> kinks(const Activation& f);

/// "Relu", "Clip", ...
std::string_view name(ActivationKind kind);

/// The parameters for messages, e.g. "0, 6"; empty if the kind has none.
std::string parameters(const Activation& f);

}  // namespace hearth::nn
