#include "ckks/keys.h"

#include <optional>
#include <string>

#include "base/error.h"

namespace hearth::ckks {
namespace {

/// Streams of the public seed between digits; more than there are primes in a ring.
constexpr std::uint64_t kStreamsPerDigit = 1000;

std::size_t bytes_of(const std::vector<ring::Poly>& polys) {
  std::size_t sum = 0;
  for (const ring::Poly& poly : polys) sum += poly.bytes();
  return sum;
}

/// Steps k with 5^k = g mod 2n, if any.
std::optional<int> rotation_steps(std::uint32_t g, std::size_t n) {
  std::uint64_t power = 1;
  for (std::size_t k = 0; k < n / 2; ++k, power = power * 5 % (2 * n)) {
    if (power == g) return static_cast<int>(k);
  }
  return std::nullopt;
}

std::string describe_galois(std::uint32_t g, std::size_t n) {
  if (n == 0) return fmt::format("Galois element {}", g);
  if (g == 2 * n - 1) return "the conjugation";
  const std::optional<int> steps = rotation_steps(g, n);
  return steps ? fmt::format("rotations by {} (Galois element {})", *steps, g) : fmt::format("Galois element {}", g);
}

}  // namespace

void SwitchingKey::expand(const Parameters& parameters) {
  const int level = parameters.spec().key_sets.at(static_cast<std::size_t>(set)).max_level;
  const ring::Basis basis = parameters.qp_basis(level, set);
  a.clear();
  for (std::size_t digit = 0; digit < b.size(); ++digit) {
    a.push_back(ring::sample_uniform(parameters.ring(), basis, ring::Domain::kNtt, seed, kStreamsPerDigit * digit));
  }
}

void SwitchingKey::fill_a(const Parameters& parameters, std::size_t digit, int prime, std::uint32_t* out) const {
  ring::sample_uniform_limb({out, parameters.n()}, parameters.ring().modulus(prime).q, seed,
                            kStreamsPerDigit * digit + static_cast<std::uint64_t>(prime));
}

std::size_t SwitchingKey::bytes() const { return bytes_of(a) + bytes_of(b); }

const SwitchingKey& EvaluationKeys::relin(int set) const {
  const auto found = relinearisation.find(set);
  require(found != relinearisation.end(), ErrorKind::kMismatch,
          "the evaluation keys hold no relinearisation key for key set {}; generate keys for this program again", set);
  return found->second;
}

const SwitchingKey& EvaluationKeys::rotation(int set, std::uint32_t g) const {
  const auto found = galois.find({set, g});
  if (found != galois.end()) return found->second;
  const std::size_t n = galois.empty() || galois.begin()->second.b.empty() ? 0 : galois.begin()->second.b[0].size();
  fail(ErrorKind::kMismatch,
       "the evaluation keys hold no key for {} in key set {}; generate keys for this program again",
       describe_galois(g, n), set);
}

std::pair<const SwitchingKey&, const SwitchingKey&> EvaluationKeys::encapsulation() const {
  require(to_sparse.has_value() && from_sparse.has_value(), ErrorKind::kMismatch,
          "the evaluation keys hold no keys for bootstrapping; generate keys for this program again");
  return {*to_sparse, *from_sparse};
}

void EvaluationKeys::insert(const KeyName& name, SwitchingKey key) {
  switch (name.kind) {
    case KeyKind::kGalois:
      galois.insert_or_assign({name.set, name.galois}, std::move(key));
      return;
    case KeyKind::kRelinearisation:
      relinearisation.insert_or_assign(name.set, std::move(key));
      return;
    case KeyKind::kToSparse:
      to_sparse = std::move(key);
      return;
    case KeyKind::kFromSparse:
      from_sparse = std::move(key);
      return;
  }
}

std::vector<KeyName> key_names(const KeyRequest& request, int top_set) {
  std::vector<KeyName> names;
  for (const int set : request.relinearisation_sets) names.push_back({.kind = KeyKind::kRelinearisation, .set = set});
  for (const auto& [set, element] : request.galois) names.push_back({.set = set, .galois = element});
  if (request.encapsulation) {
    names.push_back({.kind = KeyKind::kToSparse, .set = 0});
    names.push_back({.kind = KeyKind::kFromSparse, .set = top_set});
  }
  return names;
}

std::size_t EvaluationKeys::bytes() const {
  std::size_t sum = 0;
  if (to_sparse) sum += to_sparse->bytes();
  if (from_sparse) sum += from_sparse->bytes();
  for (const auto& [set, key] : relinearisation) sum += key.bytes();
  for (const auto& [id, key] : galois) sum += key.bytes();
  return sum;
}

}  // namespace hearth::ckks
