#include "memory/tier_spec.h"

#include <array>
#include <charconv>

#include "base/error.h"
#include "memory/emulated_tier.h"
#include "memory/mapped_tier.h"
#include "memory/measure_tier.h"
#include "memory/tier_description.h"

namespace hearth::memory {
namespace {

constexpr std::string_view kThreadsSuffix = ",threads";

struct KindName {
  std::string_view name;
  TierKind kind;
};
constexpr std::array<KindName, 5> kKinds{{{"nvme", TierKind::kFile},
                                          {"file", TierKind::kFile},
                                          {"dax", TierKind::kDax},
                                          {"numa", TierKind::kNuma},
                                          {"emulated", TierKind::kEmulated}}};

[[noreturn]] void fail_spec(const std::string& text, std::string_view what) {
  fail(ErrorKind::kInvalidArgument,
       "\"{}\" names no tier: {}. Expected KIND:WHERE:SIZE, for example nvme:/scratch:60GiB, dax:/mnt/pmem:100GiB, "
       "numa:1:64GiB or emulated:optane_pmem_100:64GiB",
       text, what);
}

TierKind kind_of(const std::string& text, std::string_view name) {
  for (const KindName& entry : kKinds) {
    if (entry.name == name) return entry.kind;
  }
  fail_spec(text, fmt::format("\"{}\" is none of nvme, file, dax, numa and emulated", name));
}

/// A node's number; Error(kInvalidArgument).
int node_of(const std::string& text, std::string_view where) {
  int node = -1;
  const auto [end, error] = std::from_chars(where.data(), where.data() + where.size(), node);
  if (error != std::errc() || end != where.data() + where.size() || node < 0) {
    fail_spec(text, fmt::format("\"{}\" is not the number of a NUMA node", where));
  }
  return node;
}

std::unique_ptr<Tier> with_speed(std::unique_ptr<TierBase> tier, const TierSpeed* measured) {
  tier->set_speed(measured ? *measured : measure_tier(*tier, quick_measurement()));
  return tier;
}

std::unique_ptr<Tier> make_emulated(const TierSpec& spec, const TierSpeed* measured) {
  const TierDescription description = find_tier_description(spec.where);
  auto bytes = std::make_unique<MappedTier>("memory", MappedMemory::anonymous(spec.capacity));
  return std::make_unique<EmulatedTier>(description.name, std::move(bytes), measured ? *measured : description.speed);
}

}  // namespace

std::uint64_t parse_size(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  int shift = 0;
  bool known = error == std::errc() && value > 0;
  if (!unit.empty()) {
    const std::size_t power = std::string_view("KMGT").find(unit.front());
    known = known && power != std::string_view::npos && (unit.size() == 1 || unit.substr(1) == "iB");
    shift = known ? 10 * static_cast<int>(power + 1) : 0;
  }
  constexpr std::uint64_t kMax = std::uint64_t{1} << 62;
  require(known && value <= (kMax >> shift), ErrorKind::kInvalidArgument,
          "\"{}\" is no size: expected a whole number with KiB, MiB, GiB or TiB (or K, M, G, T), for example 60GiB",
          text);
  return value << shift;
}

TierSpec parse_tier_spec(const std::string& text) {
  TierSpec spec;
  spec.text = text;
  std::string_view rest = text;
  if (rest.ends_with(kThreadsSuffix)) {
    spec.engine = Engine::kThreads;
    rest.remove_suffix(kThreadsSuffix.size());
  }
  const std::size_t first = rest.find(':'), last = rest.rfind(':');
  if (first == std::string_view::npos || first == last) fail_spec(text, "it has fewer than three parts");
  spec.kind = kind_of(text, rest.substr(0, first));
  spec.where = rest.substr(first + 1, last - first - 1);
  if (spec.where.empty()) fail_spec(text, "it does not say where");
  if (spec.engine == Engine::kThreads && spec.kind != TierKind::kFile) {
    fail_spec(text, "only files have a choice of threads");
  }
  if (spec.kind == TierKind::kNuma) node_of(text, spec.where);
  try {
    spec.capacity = parse_size(rest.substr(last + 1));
  } catch (const Error& error) {
    fail_spec(text, error.what());
  }
  return spec;
}

std::string tier_key(const TierSpec& spec) {
  return spec.text.substr(0, spec.text.find(':') + 1) + spec.where +
         (spec.engine == Engine::kThreads ? std::string(kThreadsSuffix) : "");
}

std::unique_ptr<Tier> make_tier(const TierSpec& spec, const TierSpeed* measured) {
  if (spec.kind == TierKind::kEmulated) return make_emulated(spec, measured);
  const std::string name = spec.text.substr(0, spec.text.find(':') + 1) + spec.where;
  if (spec.kind == TierKind::kFile) {
    return with_speed(std::make_unique<FileTier>(name, spec.where, spec.capacity, spec.engine), measured);
  }
  MappedMemory memory = spec.kind == TierKind::kDax
                            ? MappedMemory::of_file(spec.where, spec.capacity)
                            : MappedMemory::of_node(node_of(spec.text, spec.where), spec.capacity);
  const bool cached = spec.kind == TierKind::kDax && !memory.synchronous();
  const std::string honest = cached ? name + " (no DAX there: through the page cache)" : name;
  return with_speed(std::make_unique<MappedTier>(honest, std::move(memory)), measured);
}

}  // namespace hearth::memory
