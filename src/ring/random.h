#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/wipe.h"
#include "ring/poly.h"

namespace hearth::ring {

using hearth::secure_wipe;  // for the secrets that the samplers return

/// 32 bytes that determine a random stream. A public seed (of the uniform half of keys) may be sent in the clear.
using Seed = std::array<std::uint8_t, 32>;

/// Fresh seed from the operating system through OpenSSL. Throws Error(kIo) when the system has no entropy.
Seed random_seed();

/// Cryptographic generator: AES-256-CTR (OpenSSL EVP), key = seed; the 16-byte counter block starts as `stream` in
/// little-endian order followed by eight zero bytes, and counts as one big-endian number. Same seed and stream, same
/// bytes on every machine, however they are cut into calls of fill. Never use one (seed, stream) for two purposes.
/// State is wiped on destruction. One thread at a time. Throws Error(kInternal) if OpenSSL refuses.
class RandomStream {
 public:
  RandomStream(const Seed& seed, std::uint64_t stream);
  ~RandomStream();
  RandomStream(const RandomStream&) = delete;
  RandomStream& operator=(const RandomStream&) = delete;

  void fill(std::span<std::uint8_t> out);
  void fill(std::span<std::uint32_t> out);  ///< little-endian words
  void fill(std::span<std::uint64_t> out);  ///< little-endian words

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Uniform residues on `basis`, in the domain given (uniform is uniform in both). Limb i uses stream
/// `stream_base + prime index`, by rejection from 30-bit words (32-bit words masked to the bit length of q), so that
/// the residues for a prime do not depend on which other primes are present. Public data: not constant time.
Poly sample_uniform(const Ring& ring, const Basis& basis, Domain domain, const Seed& seed, std::uint64_t stream_base);

/// One limb of that: residues below q from the one stream `stream`. At some 10 GB/s a core where the CPU has vector
/// AES, about as fast as reading them from memory. `by_library`: through OpenSSL wherever it runs, for tests; same
/// residues.
void sample_uniform_limb(std::span<std::uint32_t> out, std::uint32_t q, const Seed& seed, std::uint64_t stream,
                         bool by_library = false);

/// Whether residues come about as fast as from memory, so that keeping them is not worth it.
bool uniform_is_fast();

// Secret samplers: run time and memory access are independent of the values drawn, as no branch, no table index and no
// number of words drawn depends on them. They wipe their own temporaries; the caller wipes what they return.
/// n values uniform on {-1, 0, 1}; the distribution of each is within 2^-64 of uniform.
std::vector<std::int8_t> sample_ternary(std::size_t n, RandomStream& stream);
/// n values with exactly `weight` <= n of them +-1 (Error(kInvalidArgument) otherwise), positions uniform up to a
/// statistical distance of n 2^-64, signs uniform.
std::vector<std::int8_t> sample_ternary_fixed(std::size_t n, std::size_t weight, RandomStream& stream);
/// n values of a discrete Gaussian with standard deviation 3.2, tail cut at 6 sigma (|x| <= 19), by a constant-time
/// cumulative-table comparison on 64-bit words.
std::vector<std::int8_t> sample_gaussian(std::size_t n, RandomStream& stream);
inline constexpr double kGaussianSigma = 3.2;

/// The small integers as residues on `basis`, coefficient domain. Every |value| must be below every prime. Constant
/// time.
Poly from_small(const Ring& ring, const Basis& basis, std::span<const std::int8_t> values);

}  // namespace hearth::ring
