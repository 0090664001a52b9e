#include "ring/random.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "ring/limbs.h"

namespace hearth::ring {
namespace {

static_assert(std::endian::native == std::endian::little, "random words are defined as little-endian");

/// Words drawn at a time where a sampler needs a temporary: they stay in the first-level cache.
constexpr std::size_t kBlock = 2048;

const EVP_CIPHER* counter_cipher() {
  // Fetched once: looking it up by name on every use costs as much as many blocks.
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  return cipher;
}

template <typename T>
std::span<std::uint8_t> as_bytes_of(std::span<T> words) {
  return {reinterpret_cast<std::uint8_t*>(words.data()), words.size_bytes()};
}

}  // namespace

Seed random_seed() {
  Seed seed;
  require(RAND_priv_bytes(seed.data(), static_cast<int>(seed.size())) == 1, ErrorKind::kIo,
          "the operating system gave no random bytes");
  return seed;
}

struct RandomStream::State {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  ~State() { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule
};

RandomStream::RandomStream(const Seed& seed, std::uint64_t stream) : state_(std::make_unique<State>()) {
  std::array<std::uint8_t, 16> counter{};
  std::memcpy(counter.data(), &stream, sizeof stream);
  const bool ready = state_->context && counter_cipher() &&
                     EVP_EncryptInit_ex2(state_->context, counter_cipher(), seed.data(), counter.data(), nullptr) == 1;
  require(ready, ErrorKind::kInternal, "OpenSSL could not start AES-256-CTR");
}

RandomStream::~RandomStream() = default;

void RandomStream::fill(std::span<std::uint8_t> out) {
  constexpr std::size_t kChunk = std::size_t{1} << 30;  // lengths are int in OpenSSL
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), kChunk);
    std::memset(out.data(), 0, count);
    int written = 0;
    const int status = EVP_EncryptUpdate(state_->context, out.data(), &written, out.data(), static_cast<int>(count));
    require(status == 1 && static_cast<std::size_t>(written) == count, ErrorKind::kInternal,
            "OpenSSL made {} of {} random bytes", written, count);
    out = out.subspan(count);
  }
}

void RandomStream::fill(std::span<std::uint32_t> out) { fill(as_bytes_of(out)); }
void RandomStream::fill(std::span<std::uint64_t> out) { fill(as_bytes_of(out)); }

namespace {

/// Keeps those of the `count` words at x that are below q after masking, in order, at its front; returns how many.
std::size_t keep_below(std::uint32_t* x, std::size_t count, std::uint32_t mask, std::uint32_t q) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t word = x[i] & mask;
    x[kept] = word;
    kept += word < q;
  }
  return kept;
}

void fill_uniform(std::uint32_t* out, std::size_t n, std::uint32_t q, RandomStream& stream) {
  const std::uint32_t mask = (1U << std::bit_width(q)) - 1;
  for (std::size_t have = 0; have < n;) {
    const std::size_t count = std::min(kBlock, n - have);
    stream.fill(std::span(out + have, count));
    have += keep_below(out + have, count, mask, q);
  }
}

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

Poly sample_uniform(const Ring& ring, const Basis& basis, Domain domain, const Seed& seed, std::uint64_t stream_base) {
  Poly out(ring.n(), basis, domain);
  for_each_limb(basis.size(), ring.n(), [&](std::size_t i) {
    RandomStream stream(seed, stream_base + static_cast<std::uint64_t>(basis[i]));
    fill_uniform(out.limb(i), ring.n(), ring.modulus(basis[i]).q, stream);
  });
  return out;
}

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
