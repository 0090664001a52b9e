#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "memory/plan.h"

namespace hearth::memory {

/// A tier of one bandwidth for all sizes; one transfer of `bytes` takes `latency`, a larger one longer.
inline TierSpeed flat_speed(double bandwidth, double latency, std::uint64_t bytes = 1) {
  const SpeedPoint point{bytes, latency, bandwidth};
  return {{point}, {point}};
}

inline PlanOptions options_for(std::uint64_t capacity, double bandwidth = 1e12, double latency = 1e-9) {
  PlanOptions options;
  options.capacity = capacity;
  options.speed = flat_speed(bandwidth, latency);
  return options;
}

/// Uses of the objects in `order`, each a second long, of objects of `bytes` each that lie on the tier.
inline AccessSequence sequence_of(const std::vector<std::uint32_t>& order, std::uint64_t bytes = 1) {
  AccessSequence out;
  for (const std::uint32_t object : order) {
    while (out.objects.size() <= object) out.objects.push_back({.bytes = bytes});
    out.uses.push_back({.object = object, .seconds = 1, .last = static_cast<std::uint32_t>(out.uses.size())});
  }
  return out;
}

/// How much the tiles and their uses differ from each other.
enum class Evenness { kEven, kUneven, kClustered };

/// The keys of a bootstrap, used in the same order again and again, 0.4 s a cycle. Uneven: tiles of 0.1 to 2 MB, times
/// that vary as waits do. Clustered: every 300th use takes 100 times as long as well.
inline AccessSequence cyclic(std::uint32_t tiles, std::uint32_t cycles, Evenness evenness) {
  std::mt19937 random(1);
  const auto unit = [&] { return static_cast<double>(random()) / 4294967296.0; };
  AccessSequence out;
  std::vector<double> seconds(tiles, 1);
  double sum = 0;
  for (std::uint32_t i = 0; i < tiles; ++i) {
    const bool even = evenness == Evenness::kEven;
    out.objects.push_back({.bytes = even ? 1U << 20 : 100'000 + static_cast<std::uint64_t>(1.9e6 * unit())});
    if (!even) seconds[i] = -std::log(1 - unit()) * (i / 100 % 3 == 0 ? 2 : 1);
    if (evenness == Evenness::kClustered && i % 300 == 0) seconds[i] = 100;
    sum += seconds[i];
  }
  for (std::uint32_t cycle = 0; cycle < cycles; ++cycle) {
    for (std::uint32_t i = 0; i < tiles; ++i) {
      const auto use = static_cast<std::uint32_t>(out.uses.size());
      out.uses.push_back({.object = i, .seconds = 0.4 * seconds[i] / sum, .last = use});
    }
  }
  return out;
}

inline std::uint64_t total_bytes(const AccessSequence& sequence) {
  std::uint64_t bytes = 0;
  for (const PlannedObject& object : sequence.objects) bytes += object.bytes;
  return bytes;
}

/// A share of the cycle's bytes as capacity, and a tier that needs `load` of the cycle's 0.4 s to fetch the rest.
inline PlanOptions options_for_cycle(const AccessSequence& sequence, double share, double load) {
  const auto bytes = static_cast<double>(total_bytes(sequence));
  return options_for(static_cast<std::uint64_t>(share * bytes), bytes * (1 - share) / (load * 0.4), 400e-6);
}

/// What is read besides the first loads.
inline std::uint64_t reread_bytes(const Plan& plan) { return plan.figures.read_bytes - plan.figures.first_read_bytes; }

}  // namespace hearth::memory
