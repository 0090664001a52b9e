#include "ring/ntt.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace hearth::ring {
namespace {

constexpr int kMinLogN = 1;
constexpr int kMaxLogN = 17;

/// roots[brv(e)] = psi^e for e < 2^log_n, and the companions.
void fill_powers(Buffer<std::uint32_t>& roots, Buffer<std::uint32_t>& companions, int log_n, std::uint32_t psi,
                 const Modulus& m) {
  const std::size_t n = std::size_t{1} << log_n;
  roots = Buffer<std::uint32_t>(n);
  companions = Buffer<std::uint32_t>(n);
  std::uint32_t power = 1;
  std::size_t reversed = 0;
  for (std::size_t e = 0; e < n; ++e) {
    roots[reversed] = power;
    companions[reversed] = shoup(power, m);
    power = mul_mod(power, psi, m);
    // Adds one to a number whose bits are reversed: the carry runs from the top bit down.
    std::size_t bit = n >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
}

/// See NttTables::tail_roots.
Buffer<std::uint32_t> tail_copy(const Buffer<std::uint32_t>& roots, const Buffer<std::uint32_t>& companions) {
  const std::size_t rows = roots.size() / 16, blocks = roots.size() / NttTables::kTailBlock;
  Buffer<std::uint32_t> tail(blocks * NttTables::kTailWords);
  std::uint32_t* out = tail.data();
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::size_t v = 1; v <= NttTables::kTailRoots; ++v, out += 32) {
      const std::size_t stage = std::bit_width(v) - 1;
      const std::size_t j = v - (std::size_t{1} << stage);
      for (std::size_t r = 0; r < 16; ++r) {
        const std::size_t node = ((rows + 16 * block + r) << stage) + j;
        out[r] = roots[node];
        out[16 + r] = companions[node];
      }
    }
  }
  return tail;
}

}  // namespace

NttTables::NttTables(int log_n_, const Modulus& m, std::uint32_t psi_) : log_n(log_n_), modulus(m), psi(psi_) {
  require(log_n >= kMinLogN && log_n <= kMaxLogN, ErrorKind::kInvalidArgument,
          "the transform's length must be 2^{} to 2^{}, got 2^{}", kMinLogN, kMaxLogN, log_n);
  require(psi < m.q && pow_mod(psi, std::uint64_t{1} << log_n, m) == m.q - 1, ErrorKind::kInvalidArgument,
          "{} is not a primitive 2^{}-th root of unity modulo {}", psi, log_n + 1, m.q);
  fill_powers(roots, roots_shoup, log_n, psi, m);
  fill_powers(inverse_roots, inverse_roots_shoup, log_n, inv_mod(psi, m), m);
  n_inverse = inv_mod(static_cast<std::uint32_t>(std::size_t{1} << log_n), m);
  n_inverse_shoup = shoup(n_inverse, m);
  n_inverse_root = mul_mod(n_inverse, inverse_roots[1], m);
  n_inverse_root_shoup = shoup(n_inverse_root, m);
  tail_roots = tail_copy(roots, roots_shoup);
  inverse_tail_roots = tail_copy(inverse_roots, inverse_roots_shoup);
}

std::uint32_t find_primitive_root(int log_n, const Modulus& m) {
  const std::uint64_t order = std::uint64_t{2} << log_n;
  require((m.q - 1) % order == 0, ErrorKind::kInvalidArgument,
          "{} has no primitive 2^{}-th root of unity: it is not 1 modulo {}", m.q, log_n + 1, order);
  // x^((q-1)/2n) is primitive for every non-residue x, that is for half of them.
  std::uint32_t root = 0;
  for (std::uint32_t x = 2; root == 0; ++x) {
    const std::uint32_t candidate = pow_mod(x, (m.q - 1) / order, m);
    if (pow_mod(candidate, order / 2, m) == m.q - 1) root = candidate;
  }
  // The primitive roots are the odd powers of any one of them.
  const std::uint32_t square = mul_mod(root, root, m);
  std::uint32_t smallest = root;
  for (std::uint64_t e = 3; e < order; e += 2) {
    root = mul_mod(root, square, m);
    smallest = std::min(smallest, root);
  }
  return smallest;
}

}  // namespace hearth::ring
