#include <cstring>
#include <string_view>

#include "base/isa.h"
#include "nn/kernels/convolve_kernels.h"
#include "nn/kernels/convolve_passes.h"

namespace hearth::nn {
namespace {

/// Two doubles: what x86-64 and AArch64 have without being asked; elsewhere the compiler splits them.
struct Lanes {
  using Vec = double __attribute__((vector_size(16)));
  static constexpr int kLanes = 2;
  static constexpr int kRows = 2;
  static constexpr int kUnits = 1;
  static constexpr int kSlideUnits = 2;
  HEARTH_INLINE static Vec load(const double* p) { return Vec{p[0], p[1]}; }
  HEARTH_INLINE static void store(double* p, Vec v) { std::memcpy(p, &v, sizeof(v)); }
  HEARTH_INLINE static Vec broadcast(double x) { return Vec{x, x}; }
  HEARTH_INLINE static Vec mul_add(Vec a, Vec b, Vec c) { return a * b + c; }
  HEARTH_INLINE static Vec widen(const float* p) { return Vec{double{p[0]}, double{p[1]}}; }
  HEARTH_INLINE static void narrow(float* p, Vec v) {
    p[0] = static_cast<float>(v[0]);
    p[1] = static_cast<float>(v[1]);
  }
};

constexpr ConvolveKernels kScalar = ConvolvePasses<Lanes>::table("scalar");

}  // namespace

const ConvolveKernels* convolve_kernels_for(const char* name) {
  const std::string_view wanted = name;
  if (!cpu_has(wanted)) return nullptr;
  if (wanted == "avx512") return convolve_avx512();
  return wanted == "avx2" ? convolve_avx2() : &kScalar;
}

const ConvolveKernels& convolve_kernels() {
  static const ConvolveKernels* const chosen = convolve_kernels_for(best_isa());
  return chosen ? *chosen : kScalar;
}

}  // namespace hearth::nn
