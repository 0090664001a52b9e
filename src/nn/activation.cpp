#include "nn/activation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace hearth::nn {

namespace {

using Kind = ActivationKind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// exp overflows to infinity for x far below 0, which gives the 0 wanted.
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

double gelu_tanh(double x) {
  // (1 + tanh(y)) / 2 = sigmoid(2 y), without the cancellation of the left side for y far below 0.
  const double y = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x * sigmoid(2 * y);
}

int parameter_count(Kind kind) {
  switch (kind) {
    case Kind::kClip:
    case Kind::kHardSigmoid:
      return 2;
    case Kind::kLeakyRelu:
    case Kind::kElu:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

Activation clip(double low, double high) {
  if (low == 0 && high == kInfinity) return {Kind::kRelu};
  return {Kind::kClip, low, high};
}

void check(const Activation& f) {
  const auto expect = [&](bool condition) {
    require(condition, ErrorKind::kInvalidArgument, "{} cannot have the parameters {}, {}", name(f.kind), f.a, f.b);
  };
  // Clip(-infinity, -infinity) and Clip(infinity, infinity) are no functions.
  if (f.kind == Kind::kClip) return expect(f.a <= f.b && f.a < kInfinity && f.b > -kInfinity);
  expect(std::isfinite(f.a) && std::isfinite(f.b));
  if (f.kind == Kind::kHardSigmoid) expect(f.a != 0);
}

double evaluate(const Activation& f, double x) {
  switch (f.kind) {
    case Kind::kRelu:
      return std::max(x, 0.0);
    case Kind::kClip:
      return std::min(std::max(x, f.a), f.b);
    case Kind::kLeakyRelu:
      return x < 0 ? f.a * x : x;
    case Kind::kElu:
      return x < 0 ? f.a * std::expm1(x) : x;
    case Kind::kSigmoid:
      return sigmoid(x);
    case Kind::kHardSigmoid:
      return std::clamp(f.a * x + f.b, 0.0, 1.0);
    case Kind::kSilu:
      return x * sigmoid(x);
    case Kind::kHardSwish:
      return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Kind::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Kind::kGeluTanh:
      return gelu_tanh(x);
    case Kind::kTanh:
      return std::tanh(x);
    case Kind::kErf:
      return std::erf(x);
    case Kind::kSoftplus:
      return softplus(x);
    case Kind::kMish:
      return x * std::tanh(softplus(x));
    case Kind::kAbs:
      return std::abs(x);
  }
  fail(ErrorKind::kInternal, "activation of unknown kind {}", static_cast<int>(f.kind));
}

bool zero_at_zero(const Activation& f) { return evaluate(f, 0) == 0; }

bool positively_homogeneous(const Activation& f) {
  if (f.kind == Kind::kClip) return (f.a == 0 || f.a == -kInfinity) && (f.b == 0 || f.b == kInfinity);
  return f.kind == Kind::kRelu || f.kind == Kind::kLeakyRelu || f.kind == Kind::kAbs;
}

bool nondecreasing(const Activation& f) {
  switch (f.kind) {
    case Kind::kRelu:
    case Kind::kClip:
    case Kind::kSigmoid:
    case Kind::kTanh:
    case Kind::kErf:
    case Kind::kSoftplus:
      return true;
    case Kind::kLeakyRelu:
    case Kind::kElu:
      return f.a >= 0;
    case Kind::kHardSigmoid:
      return f.a > 0;
    default:
      return false;
  }
}

std::pair<double, double> value_range(const Activation& f) {
  switch (f.kind) {
    case Kind::kRelu:
    case Kind::kSoftplus:
    case Kind::kAbs:
      return {0, kInfinity};
    case Kind::kClip:
      return {f.a, f.b};
    case Kind::kSigmoid:
    case Kind::kHardSigmoid:
      return {0, 1};
    case Kind::kTanh:
    case Kind::kErf:
      return {-1, 1};
    default:
      return {-kInfinity, kInfinity};
  }
}

std::vector<double> kinks(const Activation& f) {
  switch (f.kind) {
    case Kind::kRelu:
    case Kind::kAbs:
      return {0};
    case Kind::kLeakyRelu:
    case Kind::kElu:
      return f.a == 1 ? std::vector<double>{} : std::vector<double>{0};
    case Kind::kHardSwish:
      return {-3, 3};
    case Kind::kHardSigmoid: {
      const double zero = -f.b / f.a;
      const double one = (1 - f.b) / f.a;
      return {std::min(zero, one), std::max(zero, one)};
    }
    case Kind::kClip: {
      std::vector<double> out;
      if (f.a == f.b) return out;
      for (const double bound : {f.a, f.b}) {
        if (std::isfinite(bound)) out.push_back(bound);
      }
      return out;
    }
    default:
      return {};
  }
}

std::string_view name(ActivationKind kind) {
  static constexpr std::array<std::string_view, 15> kNames = {"Relu",        "Clip", "LeakyRelu", "Elu",  "Sigmoid",
                                                              "HardSigmoid", "Silu", "HardSwish", "Gelu", "GeluTanh",
                                                              "Tanh",        "Erf",  "Softplus",  "Mish", "Abs"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string parameters(const Activation& f) {
  const int count = parameter_count(f.kind);
  if (count == 0) return {};
  return count == 1 ? fmt::format("{:.6g}", f.a) : fmt::format("{:.6g}, {:.6g}", f.a, f.b);
}

}  // namespace hearth::nn
