#include "ring/random.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/dry_run.h"
#include "base/error.h"
#include "ring/kernels/uniform.h"
#include "ring/limbs.h"

namespace hearth::ring {
namespace {

static_assert(std::endian::native == std::endian::little, "random words are defined as little-endian");

/// Of a residue, in a dry run.
constexpr double kDrySeconds = 0.35e-9;

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

/// The reference of every UniformKernel.
void uniform_by_library(std::uint32_t* out, std::size_t n, std::uint32_t q, const Seed& seed, std::uint64_t number) {
  RandomStream stream(seed, number);
  const std::uint32_t mask = (1U << std::bit_width(q)) - 1;
  for (std::size_t have = 0; have < n;) {
    const std::size_t count = std::min(kBlock, n - have);
    stream.fill(std::span(out + have, count));
    have += keep_below(out + have, count, mask, q);
  }
}

UniformKernel uniform_kernel() {
  static const UniformKernel kernel = vaes_uniform();
  return kernel;
}

}  // namespace

bool uniform_is_fast() { return uniform_kernel() != nullptr; }

void sample_uniform_limb(std::span<std::uint32_t> out, std::uint32_t q, const Seed& seed, std::uint64_t stream,
                         bool by_library) {
  if (dry_run()) return add_dry_seconds(kDrySeconds * static_cast<double>(out.size()));
  const UniformKernel kernel = by_library ? nullptr : uniform_kernel();
  if (kernel == nullptr) return uniform_by_library(out.data(), out.size(), q, seed, stream);
  kernel(out.data(), out.size(), q, seed.data(), stream);
}

Poly sample_uniform(const Ring& ring, const Basis& basis, Domain domain, const Seed& seed, std::uint64_t stream_base) {
  Poly out(ring.n(), basis, domain);
  for_each_limb(basis.size(), ring.n(), [&](std::size_t i) {
    const std::uint64_t stream = stream_base + static_cast<std::uint64_t>(basis[i]);
    sample_uniform_limb({out.limb(i), ring.n()}, ring.modulus(basis[i]).q, seed, stream);
  });
  return out;
}

}  // namespace hearth::ring
