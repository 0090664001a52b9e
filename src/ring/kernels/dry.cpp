#include <cstring>

#include "base/dry_run.h"
#include "ring/kernels/tables.h"

namespace hearth::ring {
namespace {

// Seconds a word, in the ratios measured on one processor with AVX-512 at n = 2^15; whoever needs more than ratios
// scales what comes out.
constexpr double kButterfly = 0.08e-9;  // and level of a transform
constexpr double kPass = 0.15e-9;       // reading two words, writing one
constexpr double kTerm = 0.18e-9;       // of a dot product
constexpr double kConvert = 0.05e-9;    // one source word for one target word
constexpr double kPermute = 0.15e-9;
constexpr double kUnpack = 0.05e-9;

void transform(const NttTables& t) {
  const auto n = static_cast<double>(std::size_t{1} << t.log_n);
  add_dry_seconds(kButterfly * n * (t.log_n + 2));
}

void pass(std::size_t n) { add_dry_seconds(kPass * static_cast<double>(n)); }

void ntt(std::uint32_t*, const NttTables& t) { transform(t); }
void binary(std::uint32_t*, const std::uint32_t*, const std::uint32_t*, std::size_t n, const Modulus&) { pass(n); }
void negate(std::uint32_t*, const std::uint32_t*, std::size_t n, const Modulus&) { pass(n); }
void mul_scalar(std::uint32_t*, const std::uint32_t*, std::uint32_t, std::uint32_t, std::size_t n, const Modulus&) {
  pass(n);
}
void sub_mul_scalar(std::uint32_t*, const std::uint32_t*, const std::uint32_t*, std::uint32_t, std::uint32_t,
                    std::size_t n, const Modulus&) {
  pass(n);
}
void dot(std::uint32_t*, const std::uint32_t* const*, const std::uint32_t* const*, std::size_t count, int, bool,
         std::size_t n, const Modulus&) {
  add_dry_seconds(kTerm * static_cast<double>(n) * static_cast<double>(count));
}
void base_convert(std::uint32_t* const*, const std::uint32_t* const*, const BaseConvertView& view, std::size_t n) {
  add_dry_seconds(kConvert * static_cast<double>(n) * static_cast<double>(view.k * view.m));
}
void unpack(std::uint32_t*, const std::uint32_t*, std::size_t n) { add_dry_seconds(kUnpack * static_cast<double>(n)); }
void dot_packed(std::uint32_t*, const std::uint32_t* const*, const std::uint32_t* const*, std::size_t count, bool,
                std::size_t n, const Modulus&) {
  add_dry_seconds((kTerm + kUnpack) * static_cast<double>(n) * static_cast<double>(count));
}
void automorphism(std::uint32_t*, const std::uint32_t*, std::uint32_t, int log_n) {
  add_dry_seconds(kPermute * static_cast<double>(std::size_t{1} << log_n));
}

}  // namespace

const Kernels& dry_kernels() {
  static constexpr Kernels table = {.name = "dry",
                                    .ntt_forward = ntt,
                                    .ntt_inverse = ntt,
                                    .add = binary,
                                    .sub = binary,
                                    .negate = negate,
                                    .mul = binary,
                                    .mul_scalar = mul_scalar,
                                    .sub_mul_scalar = sub_mul_scalar,
                                    .dot = dot,
                                    .base_convert = base_convert,
                                    .unpack = unpack,
                                    .dot_packed = dot_packed,
                                    .automorphism = automorphism};
  return table;
}

void copy_words(std::uint32_t* out, const std::uint32_t* in, std::size_t n) {
  if (dry_run()) return pass(n);
  std::memcpy(out, in, n * sizeof(std::uint32_t));
}

}  // namespace hearth::ring
