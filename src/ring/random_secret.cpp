#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/wipe.h"
#include "ring/limbs.h"
#include "ring/random.h"

// The samplers of secrets, apart from random.cpp so that programs which only expand public seeds do not link them.
namespace hearth::ring {
namespace {

/// Words drawn at a time: they stay in the first-level cache.
constexpr std::size_t kBlock = 2048;

/// 1 if a < b else 0, for a, b < 2^63, without a branch.
constexpr std::uint64_t less(std::uint64_t a, std::uint64_t b) { return (a - b) >> 63; }

constexpr std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((Wide{a} * b) >> 64);
}

/// round(2^63 P(|x| <= k)) for k = 0..18, where P is proportional to exp(-x^2 / (2 * 3.2^2)) on |x| <= 19.
constexpr std::array<std::uint64_t, 19> kGaussianTable = {
    0x0ff52b40a5917f1dU, 0x2e5a25d4bf0e400eU, 0x489ae26955b04bd6U, 0x5d2bc20f621bf185U, 0x6bc8694c3cc80ff5U,
    0x7532d89ac6ba7dcfU, 0x7ab396cb74436799U, 0x7d9e4e916643eb08U, 0x7f05495819eb2051U, 0x7fa1ce9c0039a957U,
    0x7fdfb3f212e8c4e9U, 0x7ff5e6f9d2314fccU, 0x7ffd1f97bc4406a3U, 0x7fff40fa0088d11eU, 0x7fffd2e835e1c57eU,
    0x7ffff6524386ff1eU, 0x7ffffe1db4769da5U, 0x7fffffac0a1dcb09U, 0x7ffffff428673853U,
};

/// A block of random words that leaves nothing behind.
class SecretWords {
 public:
  ~SecretWords() { secure_wipe(words_.data(), sizeof words_); }
  std::span<const std::uint64_t> draw(std::size_t count, RandomStream& stream) {
    stream.fill(std::span(words_).first(count));
    return std::span(words_).first(count);
  }

 private:
  std::array<std::uint64_t, kBlock> words_;
};

/// Calls body(index of the first word, words) for n random words, block by block.
template <typename Body>
void for_secret_words(std::size_t n, RandomStream& stream, Body&& body) {
  SecretWords words;
  for (std::size_t i = 0; i < n; i += kBlock) body(i, words.draw(std::min(kBlock, n - i), stream));
}

}  // namespace

std::vector<std::int8_t> sample_ternary(std::size_t n, RandomStream& stream) {
  std::vector<std::int8_t> out(n);
  for_secret_words(n, stream, [&](std::size_t first, std::span<const std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      out[first + i] = static_cast<std::int8_t>(static_cast<int>(multiply_high(words[i], 3)) - 1);
    }
  });
  return out;
}

// Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, Algorithm S): of the `left` positions that
// remain, `wanted` are still to be chosen, and the next one is chosen with probability wanted / left.
std::vector<std::int8_t> sample_ternary_fixed(std::size_t n, std::size_t weight, RandomStream& stream) {
  require(weight <= n, ErrorKind::kInvalidArgument, "cannot place {} non-zero values in {} positions", weight, n);
  std::vector<std::int8_t> out(n);
  std::uint64_t wanted = weight;
  for_secret_words(n, stream, [&](std::size_t first, std::span<const std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::uint64_t left = n - first - i;
      const std::uint64_t chosen = less(multiply_high(words[i], left), wanted);
      wanted -= chosen;
      out[first + i] = static_cast<std::int8_t>(chosen);
    }
  });
  // Signs come from words of their own: those above are correlated with what was chosen.
  for_secret_words(n, stream, [&](std::size_t first, std::span<const std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const int sign = 1 - 2 * static_cast<int>(words[i] & 1);
      out[first + i] = static_cast<std::int8_t>(out[first + i] * sign);
    }
  });
  secure_wipe(&wanted, sizeof wanted);
  return out;
}

// The top 63 bits of a word choose the magnitude by inversion of its distribution, the last bit the sign.
std::vector<std::int8_t> sample_gaussian(std::size_t n, RandomStream& stream) {
  std::vector<std::int8_t> out(n);
  for_secret_words(n, stream, [&](std::size_t first, std::span<const std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::uint64_t level = words[i] >> 1;
      std::uint64_t below = 0;
      for (const std::uint64_t threshold : kGaussianTable) below += less(level, threshold);
      const int magnitude = static_cast<int>(kGaussianTable.size() - below);
      const int sign = 1 - 2 * static_cast<int>(words[i] & 1);
      out[first + i] = static_cast<std::int8_t>(magnitude * sign);
    }
  });
  return out;
}

Poly from_small(const Ring& ring, const Basis& basis, std::span<const std::int8_t> values) {
  Poly out(values.size(), basis, Domain::kCoefficient);
  for_each_limb(basis.size(), values.size(), [&](std::size_t i) {
    const std::uint32_t q = ring.modulus(basis[i]).q;
    std::uint32_t* x = out.limb(i);
    for (std::size_t j = 0; j < values.size(); ++j) {
      const std::int32_t value = values[j];
      x[j] = static_cast<std::uint32_t>(value) + (q & static_cast<std::uint32_t>(value >> 31));
    }
  });
  return out;
}

}  // namespace hearth::ring
