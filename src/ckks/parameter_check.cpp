#include "ckks/parameter_check.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::ckks {
namespace {

constexpr ErrorKind kInvalid = ErrorKind::kInvalidArgument;
constexpr int kMinBits = 20;
constexpr int kMaxBits = 30;

void check_degree(const ParameterSpec& spec) {
  const int least = spec.security == Security::kNone ? 4 : 11;
  require(spec.log_n >= least && spec.log_n <= 17, kInvalid, "the ring degree must be 2^{} to 2^17, got 2^{}", least,
          spec.log_n);
}

void check_bits(const ParameterSpec& spec, const std::vector<int>& bits, const char* what) {
  const int least = std::max(kMinBits, spec.log_n + 2);
  for (const int size : bits) {
    require(size >= least && size <= kMaxBits, kInvalid,
            "{} asks for a prime of {} bits; with n = 2^{} primes have {} to {} bits", what, size, spec.log_n, least,
            kMaxBits);
  }
}

void check_levels(const ParameterSpec& spec) {
  require(!spec.levels.empty(), kInvalid, "a parameter set needs at least level 0, the base modulus");
  std::size_t primes = 0;
  for (std::size_t level = 0; level < spec.levels.size(); ++level) {
    const std::size_t here = spec.levels[level].size();
    require(here >= 1 && here <= kMaxConvertedPrimes, kInvalid, "level {} has {} primes; expected 1 to {}", level, here,
            kMaxConvertedPrimes);
    check_bits(spec, spec.levels[level], fmt::format("level {}", level).c_str());
    primes += here;
    require(primes + spec.special_bits.size() <= kMaxPrimes, kInvalid,
            "more than {} primes, special ones included, are not supported", kMaxPrimes);
  }
}

void check_key_set(const ParameterSpec& spec, std::size_t index) {
  const KeySetSpec& set = spec.key_sets[index];
  const int top = static_cast<int>(spec.levels.size()) - 1;
  const int below = index == 0 ? -1 : spec.key_sets[index - 1].max_level;
  require(set.max_level > below && set.max_level <= top, kInvalid,
          "key set {} covers levels up to {}; expected more than the set before it ({}) and at most {}", index,
          set.max_level, below, top);
  require(set.digit_primes >= 1 && set.digit_primes <= kMaxConvertedPrimes, kInvalid,
          "key set {} has {} primes a digit; expected 1 to {}", index, set.digit_primes, kMaxConvertedPrimes);
  const int available = std::min(static_cast<int>(spec.special_bits.size()), kMaxConvertedPrimes);
  require(set.special_primes >= 1 && set.special_primes <= available, kInvalid,
          "key set {} uses {} special primes; expected 1 to {}", index, set.special_primes, available);
}

void check_key_sets(const ParameterSpec& spec) {
  require(!spec.key_sets.empty() && spec.key_sets.size() <= spec.levels.size(), kInvalid,
          "expected 1 to {} key sets, got {}", spec.levels.size(), spec.key_sets.size());
  for (std::size_t index = 0; index < spec.key_sets.size(); ++index) check_key_set(spec, index);
  require(spec.key_sets.back().max_level == static_cast<int>(spec.levels.size()) - 1, kInvalid,
          "the last key set covers levels up to {} but the top level is {}", spec.key_sets.back().max_level,
          spec.levels.size() - 1);
}

void check_secret(const ParameterSpec& spec) {
  if (spec.secret == SecretKind::kUniformTernary) {
    require(spec.hamming_weight == 0, kInvalid,
            "a uniform ternary secret has no fixed Hamming weight, yet {} was asked for", spec.hamming_weight);
    return;
  }
  require(spec.secret == SecretKind::kSparseTernary, kInvalid, "unknown kind of secret");
  require(spec.hamming_weight >= 1 && spec.hamming_weight <= 1 << spec.log_n, kInvalid,
          "the Hamming weight of a sparse secret must be 1 to n = {}, got {}", 1 << spec.log_n, spec.hamming_weight);
}

void check_encapsulation(const ParameterSpec& spec) {
  if (spec.encapsulated_weight == 0) return;
  require(spec.encapsulated_weight >= 1 && spec.encapsulated_weight <= 1 << spec.log_n, kInvalid,
          "the Hamming weight of the encapsulated secret must be 1 to n = {}, got {}", 1 << spec.log_n,
          spec.encapsulated_weight);
  const KeySetSpec& first = spec.key_sets.front();
  require(
      first.max_level == 0 && first.special_primes == 1 && spec.levels.front().size() == 1, kInvalid,
      "an encapsulated secret needs a first key set of its own: level 0 alone, of one prime, with one special prime; "
      "got levels up to {}, {} primes in level 0, {} special primes",
      first.max_level, spec.levels.front().size(), first.special_primes);
}

}  // namespace

void check_spec(const ParameterSpec& spec) {
  check_degree(spec);
  require(spec.special_bits.size() <= kMaxPrimes, kInvalid, "{} special primes: at most {} are supported",
          spec.special_bits.size(), kMaxPrimes);
  check_bits(spec, spec.special_bits, "the special modulus");
  check_levels(spec);
  check_key_sets(spec);
  check_secret(spec);
  check_encapsulation(spec);
}

}  // namespace hearth::ckks
