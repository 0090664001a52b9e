#include "ckks/parameters.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include "base/error.h"
#include "ckks/parameter_check.h"

namespace hearth::ckks {
namespace {

/// Bit sizes in the order in which primes are handed out: special primes first, so that P exceeds digits of equal bits.
std::vector<int> bits_in_order_of_choice(const ParameterSpec& spec) {
  std::vector<int> bits = spec.special_bits;
  for (const std::vector<int>& level : spec.levels) bits.insert(bits.end(), level.begin(), level.end());
  return bits;
}

/// The primes of the ring, levels first.
std::vector<std::uint32_t> choose_primes(const ParameterSpec& spec) {
  std::vector<std::uint32_t> chosen;
  for (const int bits : bits_in_order_of_choice(spec)) {
    chosen.push_back(ring::ntt_primes(spec.log_n, bits, 1, chosen).front());
  }
  std::rotate(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(spec.special_bits.size()), chosen.end());
  return chosen;
}

double log2_product(const ring::Ring& ring, const ring::Basis& basis) {
  double sum = 0;
  for (const int prime : basis) sum += std::log2(ring.modulus(prime).q);
  return sum;
}

ring::Basis range(int begin, int end) {
  ring::Basis out;
  for (int prime = begin; prime < end; ++prime) out.push_back(prime);
  return out;
}

void check_special_covers_digits(const Parameters& p, int set) {
  const KeySetSpec& keys = p.spec().key_sets[static_cast<std::size_t>(set)];
  const double special = log2_product(p.ring(), p.p_basis(set));
  for (const ring::Basis& digit : p.digits(set, keys.max_level)) {
    const double bits = log2_product(p.ring(), digit);
    require(
        special >= bits - 1, ErrorKind::kInvalidArgument,
        "key set {}: a digit of {} primes has {:.1f} bits but the special modulus only {:.1f}, so key switching would "
        "drown the message in noise; use fewer primes a digit or more special primes",
        set, digit.size(), bits, special);
  }
}

std::string describe_secret(const ParameterSpec& spec) {
  if (spec.secret == SecretKind::kUniformTernary) return "a uniform ternary secret";
  return fmt::format("a ternary secret of Hamming weight {}", spec.hamming_weight);
}

void check_security(const ParameterSpec& spec, const SecurityReport& report) {
  if (spec.security == Security::kNone || report.at_least_128) return;
  const int n = 1 << spec.log_n;
  require(
      report.limit > 0, ErrorKind::kSecurity,
      "log2(QP) = {:.1f} at n = {} with {}: no estimate of its security is known. Fixed weights need n = 16384, 32768 "
      "or 65536 and a weight of at least 192; use a uniform ternary secret, or Security::kNone for experiments",
      report.log_qp, n, describe_secret(spec));
  fail(ErrorKind::kSecurity,
       "log2(QP) = {:.1f} exceeds {:.0f}, the most that gives 128 bits of security at n = {} with {} ({}); this would "
       "give about {:.0f} bits. Use a larger n, fewer levels or special primes, or Security::kNone for experiments",
       report.log_qp, report.limit, n, describe_secret(spec), report.source, report.estimated_bits);
}

void check_encapsulation(const ParameterSpec& spec, double log_qp) {
  if (spec.security == Security::kNone || spec.encapsulated_weight == 0) return;
  const SecurityReport report = assess_encapsulation(spec.log_n, spec.encapsulated_weight, log_qp);
  require(
      report.at_least_128, ErrorKind::kSecurity,
      "the key to an encapsulated secret of Hamming weight {} at n = {} and {:.1f} bits has no estimate of 128 bits "
      "of security; use a weight of at least 32 and n of at least 16384 with at most 60 bits, or Security::kNone for "
      "experiments",
      spec.encapsulated_weight, 1 << spec.log_n, log_qp);
}

void append(std::vector<std::uint32_t>& words, const std::vector<int>& values) {
  words.push_back(static_cast<std::uint32_t>(values.size()));
  for (const int value : values) words.push_back(static_cast<std::uint32_t>(value));
}

/// Every choice and every prime, as little-endian words, lengths before lists.
std::uint64_t fingerprint(const ParameterSpec& spec, const ring::Ring& ring) {
  std::vector<std::uint32_t> words;
  append(words, {spec.log_n, static_cast<int>(spec.secret), spec.hamming_weight, static_cast<int>(spec.security),
                 spec.encapsulated_weight});
  words.push_back(static_cast<std::uint32_t>(spec.levels.size()));
  for (const std::vector<int>& level : spec.levels) append(words, level);
  append(words, spec.special_bits);
  for (const KeySetSpec& set : spec.key_sets) append(words, {set.max_level, set.digit_primes, set.special_primes});
  for (int i = 0; i < ring.prime_count(); ++i) words.push_back(ring.modulus(i).q);
  static_assert(std::endian::native == std::endian::little);
  return XXH3_64bits(words.data(), words.size() * sizeof(std::uint32_t));
}

}  // namespace

/// Constants made on first use. Entries are never removed, so references stay valid while the parameters live.
struct Parameters::Cache {
  std::mutex mutex;
  std::map<int, ring::RoundedDivider> rescalers;
  std::map<std::pair<int, int>, ring::RoundedDivider> mod_downs, mod_down_rescales;
  std::map<std::tuple<int, int, int>, ring::BaseConverter> mod_ups;
};

Parameters::Parameters(const ParameterSpec& spec) : spec_(spec), cache_(std::make_unique<Cache>()) {
  check_spec(spec);
  ring_ = std::make_unique<ring::Ring>(spec.log_n, choose_primes(spec));
  int count = 0;
  for (const std::vector<int>& level : spec.levels) {
    count += static_cast<int>(level.size());
    q_count_.push_back(count);
  }
  double log_qp = log_q(max_level());
  for (int set = 0; set < key_set_count(); ++set) {
    check_special_covers_digits(*this, set);
    const int top = spec.key_sets[static_cast<std::size_t>(set)].max_level;
    log_qp = std::max(log_qp, log2_product(*ring_, qp_basis(top, set)));
  }
  security_ = assess_security(spec, log_qp);
  check_security(spec, security_);
  check_encapsulation(spec, log2_product(*ring_, qp_basis(0, 0)));
  id_ = fingerprint(spec, *ring_);
}

Parameters::~Parameters() = default;

std::shared_ptr<const Parameters> Parameters::create(const ParameterSpec& spec) {
  return std::shared_ptr<const Parameters>(new Parameters(spec));
}

void Parameters::check_level(int level) const {
  require(level >= 0 && level <= max_level(), ErrorKind::kInvalidArgument,
          "level {} does not exist; levels are 0 to {}", level, max_level());
}

void Parameters::check_set(int set) const {
  require(set >= 0 && set < key_set_count(), ErrorKind::kInvalidArgument, "key set {} does not exist; there are {}",
          set, key_set_count());
}

ring::Basis Parameters::q_basis(int level) const {
  check_level(level);
  return range(0, q_count(level));
}

ring::Basis Parameters::p_basis(int set) const {
  check_set(set);
  const int first = q_count(max_level());
  return range(first, first + spec_.key_sets[static_cast<std::size_t>(set)].special_primes);
}

ring::Basis Parameters::qp_basis(int level, int set) const {
  ring::Basis out = q_basis(level);
  for (const int prime : p_basis(set)) out.push_back(prime);
  return out;
}

double Parameters::level_modulus(int level) const {
  check_level(level);
  double product = 1;
  for (int i = level == 0 ? 0 : q_count(level - 1); i < q_count(level); ++i) product *= ring_->modulus(i).q;
  return product;
}

double Parameters::log_q(int level) const { return log2_product(*ring_, q_basis(level)); }

int Parameters::key_set_for(int level) const {
  check_level(level);
  const auto covers = [level](const KeySetSpec& set) { return set.max_level >= level; };
  const auto found = std::find_if(spec_.key_sets.begin(), spec_.key_sets.end(), covers);
  return static_cast<int>(found - spec_.key_sets.begin());
}

std::vector<ring::Basis> Parameters::digits(int set, int level) const {
  check_level(level);
  check_set(set);
  const int width = spec_.key_sets[static_cast<std::size_t>(set)].digit_primes;
  std::vector<ring::Basis> out;
  for (int first = 0; first < q_count(level); first += width) {
    out.push_back(range(first, std::min(first + width, q_count(level))));
  }
  return out;
}

const ring::RoundedDivider& Parameters::rescaler(int level) const {
  check_level(level);
  require(level > 0, ErrorKind::kInvalidArgument, "level 0 cannot be rescaled: no prime would be left");
  const std::lock_guard lock(cache_->mutex);
  const auto found = cache_->rescalers.find(level);
  if (found != cache_->rescalers.end()) return found->second;
  const ring::Basis drop = range(q_count(level - 1), q_count(level));
  return cache_->rescalers.try_emplace(level, *ring_, q_basis(level - 1), drop).first->second;
}

const ring::RoundedDivider& Parameters::mod_down(int level, int set) const {
  const std::lock_guard lock(cache_->mutex);
  const std::pair key(level, set);
  const auto found = cache_->mod_downs.find(key);
  if (found != cache_->mod_downs.end()) return found->second;
  return cache_->mod_downs.try_emplace(key, *ring_, q_basis(level), p_basis(set)).first->second;
}

const ring::RoundedDivider& Parameters::mod_down_rescale(int level, int set) const {
  check_level(level);
  require(level > 0, ErrorKind::kInvalidArgument, "level 0 cannot be rescaled: no prime would be left");
  const std::lock_guard lock(cache_->mutex);
  const std::pair key(level, set);
  const auto found = cache_->mod_down_rescales.find(key);
  if (found != cache_->mod_down_rescales.end()) return found->second;
  ring::Basis drop = range(q_count(level - 1), q_count(level));
  for (const int prime : p_basis(set)) drop.push_back(prime);
  return cache_->mod_down_rescales.try_emplace(key, *ring_, q_basis(level - 1), drop).first->second;
}

const ring::BaseConverter& Parameters::mod_up(int level, int set, int digit) const {
  const std::lock_guard lock(cache_->mutex);
  const std::tuple key(level, set, digit);
  const auto found = cache_->mod_ups.find(key);
  if (found != cache_->mod_ups.end()) return found->second;
  const std::vector<ring::Basis> all = digits(set, level);
  require(digit >= 0 && digit < static_cast<int>(all.size()), ErrorKind::kInvalidArgument,
          "digit {} does not exist at level {} of key set {}, which has {}", digit, level, set, all.size());
  const ring::Basis& from = all[static_cast<std::size_t>(digit)];
  ring::Basis to;
  for (const int prime : qp_basis(level, set)) {
    if (std::find(from.begin(), from.end(), prime) == from.end()) to.push_back(prime);
  }
  return cache_->mod_ups.try_emplace(key, *ring_, from, to).first->second;
}

std::uint32_t galois_element(int steps, int log_n) {
  const std::uint32_t order = 2U << log_n, slots = 1U << (log_n - 1);
  std::uint32_t exponent = static_cast<std::uint32_t>(steps) & (slots - 1);
  std::uint32_t result = 1;
  for (std::uint32_t base = 5; exponent != 0; exponent >>= 1, base *= base) {
    if (exponent & 1) result *= base;
  }
  return result & (order - 1);
}

std::uint32_t galois_conjugation(int log_n) { return (2U << log_n) - 1; }

}  // namespace hearth::ckks
