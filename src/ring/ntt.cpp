#include "ring/ntt.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace hearth::ring {
namespace {

constexpr int kMinLogN = 1;
constexpr int kMaxLogN = 17;

struct Powers {
  Buffer<std::uint32_t> roots, companions;
};

/// roots[brv(e)] = psi^e for e < 2^log_n, and the companions.
Powers powers_of(int log_n, std::uint32_t psi, const Modulus& m) {
  const std::size_t n = std::size_t{1} << log_n;
  Powers out{Buffer<std::uint32_t>(n), Buffer<std::uint32_t>(n)};
  std::uint32_t power = 1;
  std::size_t reversed = 0;
  for (std::size_t e = 0; e < n; ++e) {
    out.roots[reversed] = power;
    out.companions[reversed] = shoup(power, m);
    power = mul_mod(power, psi, m);
    // Adds one to a number whose bits are reversed: the carry runs from the top bit down.
    std::size_t bit = n >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
  return out;
}

/// See NttTables::tail_roots.
Buffer<std::uint32_t> tail_of(const Powers& all) {
  const std::size_t rows = all.roots.size() / 16, blocks = all.roots.size() / NttTables::kTailBlock;
  Buffer<std::uint32_t> tail(blocks * NttTables::kTailWords);
  std::uint32_t* out = tail.data();
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::size_t v = 1; v <= NttTables::kTailRoots; ++v, out += 32) {
      const std::size_t stage = std::bit_width(v) - 1;
      const std::size_t j = v - (std::size_t{1} << stage);
      for (std::size_t r = 0; r < 16; ++r) {
        const std::size_t node = ((rows + 16 * block + r) << stage) + j;
        out[r] = all.roots[node];
        out[16 + r] = all.companions[node];
      }
    }
  }
  return tail;
}

/// See NttTables::roots.
Buffer<std::uint32_t> head_of(const Buffer<std::uint32_t>& all) {
  const std::size_t count = all.size() < NttTables::kTailBlock ? all.size() : all.size() / 8;
  Buffer<std::uint32_t> head(count);
  std::copy_n(all.data(), count, head.data());
  return head;
}

}  // namespace

NttTables::NttTables(int log_n_, const Modulus& m, std::uint32_t psi_) : log_n(log_n_), modulus(m), psi(psi_) {
  require(log_n >= kMinLogN && log_n <= kMaxLogN, ErrorKind::kInvalidArgument,
          "the transform's length must be 2^{} to 2^{}, got 2^{}", kMinLogN, kMaxLogN, log_n);
  require(psi < m.q && pow_mod(psi, std::uint64_t{1} << log_n, m) == m.q - 1, ErrorKind::kInvalidArgument,
          "{} is not a primitive 2^{}-th root of unity modulo {}", psi, log_n + 1, m.q);
  const auto fill = [&](std::uint32_t base, auto& head, auto& companions, auto& tail) {
    const Powers all = powers_of(log_n, base, m);
    head = head_of(all.roots);
    companions = head_of(all.companions);
    tail = tail_of(all);
  };
  fill(psi, roots, roots_shoup, tail_roots);
  fill(inv_mod(psi, m), inverse_roots, inverse_roots_shoup, inverse_tail_roots);
  n_inverse = inv_mod(static_cast<std::uint32_t>(std::size_t{1} << log_n), m);
  n_inverse_shoup = shoup(n_inverse, m);
  n_inverse_root = mul_mod(n_inverse, inverse_roots[1], m);
  n_inverse_root_shoup = shoup(n_inverse_root, m);
}

NttTables::Root NttTables::find(const Buffer<std::uint32_t>& head, const Buffer<std::uint32_t>& companions,
                                const Buffer<std::uint32_t>& tail, std::size_t node) {
  if (node < head.size()) return {head[node], companions[node]};
  const std::size_t rows = head.size() / 2;
  const auto stage = static_cast<std::size_t>(std::bit_width(node / rows) - 1);
  const std::size_t row = (node >> stage) - rows, vector = (std::size_t{1} << stage) + node % (std::size_t{1} << stage);
  const std::uint32_t* const at = tail.data() + row / 16 * kTailWords + (vector - 1) * 32 + row % 16;
  return {at[0], at[16]};
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
