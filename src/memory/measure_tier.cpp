#include "memory/measure_tier.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

#include "base/buffer.h"
#include "base/error.h"
#include "base/parallel.h"

namespace hearth::memory {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kRegion = std::uint64_t{64} << 20;  // of the tier, and limit of memory
constexpr std::uint64_t kLastingRegion = std::uint64_t{1} << 30, kLastingTransfer = std::uint64_t{256} << 10;
constexpr int kLeast = 3;  // transfers, or windows, that a median is taken of

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void fill_with_noise(std::span<std::byte> bytes) {
  std::uint64_t state = 88172645463325252U;
  for (std::size_t i = 0; i + sizeof state <= bytes.size(); i += sizeof state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(bytes.data() + i, &state, sizeof state);
  }
}

/// Where the transfers of one size go. Every lane has places of its own, so that no two transfers overlap.
class Places {
 public:
  /// Within the first `limit` bytes, which hold at least one.
  Places(std::uint64_t size, std::uint64_t limit, std::uint64_t most_lanes)
      : size_(size), used_(std::min(most_lanes, limit / size)), rounds_(limit / size / used_.size()) {}
  std::size_t lanes() const { return used_.size(); }
  /// One after another, round and round.
  std::uint64_t next(std::size_t lane) { return size_ * (used_[lane]++ % rounds_ * lanes() + lane); }
  /// The first bytes, as far as there were transfers everywhere.
  std::uint64_t covered() const {
    return size_ * lanes() * std::min(rounds_, *std::min_element(used_.begin(), used_.end()));
  }

 private:
  std::uint64_t size_;
  std::vector<std::uint64_t> used_;  // by lane: places so far
  std::uint64_t rounds_;
};

/// Keeps a number of transfers in flight for some time; several measurements, one after another.
class Pump {
 public:
  Pump(Tier& tier, Direction direction, std::size_t size, std::span<std::byte> memory, Places& places)
      : tier_(tier), direction_(direction), size_(size), memory_(memory), places_(places) {}

  /// Bytes a second.
  double run(std::size_t lanes, double patience) {
    const Clock::time_point begin = Clock::now();
    deadline_ = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(patience));
    moved_ = 0;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      {
        const std::lock_guard lock(mutex_);
        ++running_;
      }
      start(lane);
    }
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      lock.unlock();
      tier_.poll();
      std::this_thread::yield();
      lock.lock();
    }
    if (error_) std::rethrow_exception(error_);
    return static_cast<double>(moved_) / seconds_since(begin);
  }

 private:
  void start(std::size_t lane) {
    const Transfer transfer{
        .direction = direction_, .offset = places_.next(lane), .memory = memory_.subspan(lane * size_, size_)};
    tier_.start(transfer, [this, lane, transfer](std::exception_ptr error) {
      if (!error && transfer.direction == Direction::kRead) tier_.settle(transfer);
      bool again = false;
      {
        const std::lock_guard lock(mutex_);
        if (error && !error_) error_ = error;
        if (!error) moved_ += size_;
        again = !error && Clock::now() < deadline_;
        if (!again) --running_;
      }
      if (again) start(lane);
    });
  }

  Tier& tier_;
  Direction direction_;
  std::size_t size_;
  std::span<std::byte> memory_;
  Places& places_;
  Clock::time_point deadline_;
  std::mutex mutex_;
  std::size_t running_ = 0;
  std::uint64_t moved_ = 0;
  std::exception_ptr error_;
};

SpeedPoint measure(Tier& tier, Direction direction, std::uint64_t size, std::span<std::byte> memory, Places& places,
                   double patience) {
  Pump pump(tier, direction, size, memory, places);
  std::vector<double> latencies, bandwidths;
  const Clock::time_point begin = Clock::now();
  while (static_cast<int>(latencies.size()) < kLeast || seconds_since(begin) < patience / 2) {
    const Clock::time_point start = Clock::now();
    pump.run(1, 0);
    latencies.push_back(seconds_since(start));
  }
  for (int i = 0; i < kLeast; ++i) bandwidths.push_back(pump.run(places.lanes(), patience / 2 / kLeast));
  return {.bytes = size, .latency = median(std::move(latencies)), .bandwidth = median(std::move(bandwidths))};
}

/// By how much the bandwidth falls when it has to last. `region`: of the tier, to use; set to what was used.
double lasting_share(Tier& tier, Direction direction, std::span<std::byte> memory, const TierSpeed& speed,
                     double seconds, std::uint64_t& region) {
  const std::uint64_t size = std::min<std::uint64_t>(kLastingTransfer, memory.size()), room = region / size;
  if (room == 0 || size % tier.alignment() != 0) return 1;
  Places places(size, region, std::min<std::uint64_t>(std::max<std::size_t>(tier.depth(), 1), memory.size() / size));
  Pump pump(tier, direction, size, memory, places);
  pump.run(places.lanes(), seconds / 3);
  const double bandwidth = pump.run(places.lanes(), seconds * 2 / 3);
  region = places.covered();
  return std::min(1.0, bandwidth * speed.busy(direction, size) / static_cast<double>(size));
}

/// A cycle through all lines of a memory in random order: each line holds the index of the next.
Buffer<std::uint64_t> random_cycle(std::size_t lines, std::size_t words_per_line) {
  std::vector<std::uint32_t> order(lines);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  Buffer<std::uint64_t> memory(lines * words_per_line);
  for (std::size_t i = 0; i < lines; ++i) {
    memory[order[i] * words_per_line] = std::uint64_t{order[(i + 1) % lines]} * words_per_line;
  }
  return memory;
}

double measure_random_latency(double patience) {
  constexpr std::size_t kLines = std::size_t{1} << 20, kWords = 8, kSteps = 20'000;
  const Buffer<std::uint64_t> memory = random_cycle(kLines, kWords);
  std::vector<double> latencies;
  volatile std::uint64_t kept = 0;
  std::uint64_t at = 0;
  const Clock::time_point begin = Clock::now();
  while (static_cast<int>(latencies.size()) < kLeast || seconds_since(begin) < patience) {
    const Clock::time_point start = Clock::now();
    for (std::size_t i = 0; i < kSteps; ++i) at = memory[at];
    kept = at;
    latencies.push_back(seconds_since(start) / kSteps);
  }
  static_cast<void>(kept);
  return median(std::move(latencies));
}

double measure_copy_bandwidth(double patience) {
  constexpr std::size_t kHalf = std::size_t{64} << 20, kPiece = std::size_t{1} << 20;
  Buffer<std::byte> from(kHalf), to(kHalf);
  fill_with_noise(from.span());
  to.clear();
  std::vector<double> bandwidths;
  const Clock::time_point begin = Clock::now();
  while (static_cast<int>(bandwidths.size()) < kLeast || seconds_since(begin) < patience) {
    const Clock::time_point start = Clock::now();
    parallel_for(0, kHalf / kPiece,
                 [&](std::size_t i) { std::memcpy(to.data() + i * kPiece, from.data() + i * kPiece, kPiece); });
    bandwidths.push_back(static_cast<double>(kHalf) / seconds_since(start));
  }
  return median(std::move(bandwidths));
}

}  // namespace

MeasureOptions quick_measurement() {
  return {.sizes = {128 << 10, 256 << 10, 1 << 20}, .patience = 0.03, .lasting = 0.4};
}

TierSpeed measure_tier(Tier& tier, const MeasureOptions& options) {
  std::vector<std::uint64_t> sizes = options.sizes;
  std::erase_if(sizes, [&](std::uint64_t size) { return size > std::min(tier.capacity(), kRegion); });
  require(!sizes.empty(), ErrorKind::kInvalidArgument, "{} is too small to be measured: {} bytes", tier.name(),
          tier.capacity());
  const std::uint64_t largest = *std::max_element(sizes.begin(), sizes.end());
  const std::size_t depth = std::max<std::size_t>(tier.depth(), 1);
  const std::uint64_t wanted = largest * depth;
  // Large pages make the memory aligned for every tier.
  Buffer<std::byte> memory(std::max<std::uint64_t>(std::min(wanted, kRegion), std::uint64_t{2} << 20));
  fill_with_noise(memory.span());
  const std::uint64_t limit = std::min(tier.capacity(), kRegion);
  std::uint64_t written = 0;
  TierSpeed speed;
  for (const std::uint64_t size : sizes) {
    Places places(size, limit, std::min<std::uint64_t>(depth, memory.size() / size));
    speed.write.push_back(measure(tier, Direction::kWrite, size, memory.span(), places, options.patience));
    written = std::max(written, places.covered());
  }
  for (const std::uint64_t size : sizes) {
    Places places(size, written, std::min<std::uint64_t>(depth, memory.size() / size));
    speed.read.push_back(measure(tier, Direction::kRead, size, memory.span(), places, options.patience));
  }
  std::uint64_t region = std::min(tier.capacity(), kLastingRegion);
  const double writes = lasting_share(tier, Direction::kWrite, memory.span(), speed, options.lasting, region);
  const double reads = lasting_share(tier, Direction::kRead, memory.span(), speed, options.lasting, region);
  for (SpeedPoint& point : speed.write) point.bandwidth *= writes;
  for (SpeedPoint& point : speed.read) point.bandwidth *= reads;
  return speed;
}

DramSpeed measure_dram(double patience) {
  return {.copy_bandwidth = measure_copy_bandwidth(patience), .random_latency = measure_random_latency(patience)};
}

}  // namespace hearth::memory
