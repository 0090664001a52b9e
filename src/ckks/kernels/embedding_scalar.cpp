// The portable transform, and the choice of one.
#include <bit>
#include <cmath>
#include <string_view>

#include "base/isa.h"
#include "ckks/kernels/embedding_passes.h"
#include "ring/kernels/kernels.h"

namespace hearth::ckks {
namespace {

struct Lanes {
  using Vec = double;
  static constexpr int kLogLanes = 0;
  static Vec load(const double* p) { return *p; }
  static void store(double* p, Vec v) { *p = v; }
  static Vec broadcast(double x) { return x; }
  static Vec add(Vec a, Vec b) { return a + b; }
  static Vec sub(Vec a, Vec b) { return a - b; }
  static Vec mul(Vec a, Vec b) { return a * b; }
  static void transpose(Vec (&)[1]) {}
  static Vec larger(Vec a, Vec x) {
    const auto magnitude = std::bit_cast<std::uint64_t>(std::abs(x));
    return magnitude > std::bit_cast<std::uint64_t>(a) ? std::abs(x) : a;
  }
  static void store_rounded(std::uint32_t* p, Vec x) {
    *p = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(x + kBiasedRounder));
  }
};

constexpr EmbeddingKernels kScalar = EmbeddingPasses<Lanes>::table("scalar");

}  // namespace

SplitTwiddles::SplitTwiddles(std::span<const std::complex<double>> twiddles)
    : re_(twiddles.size()), im_(twiddles.size()) {
  for (std::size_t i = 0; i < twiddles.size(); ++i) {
    re_[i] = twiddles[i].real();
    im_[i] = twiddles[i].imag();
  }
}

const EmbeddingKernels* embedding_kernels_for(const char* name) {
  if (ring::kernels_for(name) == nullptr) return nullptr;  // not on this CPU
  for (const EmbeddingKernels* table : {embedding_avx512(), embedding_avx2()}) {
    if (table != nullptr && std::string_view(table->name) == name) return table;
  }
  return std::string_view(name) == "scalar" ? &kScalar : nullptr;
}

const EmbeddingKernels& embedding_kernels() {
  static const EmbeddingKernels* const chosen = embedding_kernels_for(best_isa());
  return chosen != nullptr ? *chosen : kScalar;
}

}  // namespace hearth::ckks
