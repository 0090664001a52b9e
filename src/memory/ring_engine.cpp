#include <liburing.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/spin_lock.h"
#include "memory/io_engine.h"

namespace hearth::memory {
namespace {

constexpr std::size_t kDepth = 32;
/// The kernel takes registered buffers of at most this size.
constexpr std::size_t kChunk = std::size_t{1} << 30;
constexpr int kAttempts = 1000;
constexpr long long kInterval = 4'000'000;  // nanoseconds
constexpr int kIdle = 25;                   // intervals

struct Request {
  Transfer transfer, rest;  // as it came, and what is left of it
  TransferDone done;
  int attempts = 0;  // in a row that moved nothing
};

/// Memory that the kernel keeps mapped, in chunks of kChunk bytes.
struct Registered {
  std::span<std::byte> memory;
  /// The chunk that holds all of `part`, or -1.
  int chunk_of(std::span<const std::byte> part) const {
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
    const auto at = reinterpret_cast<std::uintptr_t>(part.data());
    if (at < begin || at - begin >= memory.size() || part.size() > memory.size() - (at - begin)) return -1;
    const std::size_t first = (at - begin) / kChunk, last = (at - begin + part.size() - 1) / kChunk;
    return first == last ? static_cast<int>(first) : -1;
  }
};

class RingEngine final : public IoEngine {
 public:
  RingEngine(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {
    for (Request& slot : slots_) free_.push_back(&slot);
  }
  ~RingEngine() override {
    if (!reaper_.joinable()) return;
    {
      const auto lock = spin_lock(mutex_);
      ending_ = true;
    }
    begun_.notify_one();
    reaper_.join();
    io_uring_queue_exit(&ring_);
  }

  /// Whether the kernel lets us have a ring, one that can be waited on for a time.
  bool open() {
    // Without interrupting those who compute, where the kernel can.
    if (io_uring_queue_init(2 * kDepth, &ring_, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG) < 0 &&
        io_uring_queue_init(2 * kDepth, &ring_, 0) < 0) {
      return false;
    }
    if ((ring_.features & IORING_FEAT_EXT_ARG) == 0) {
      io_uring_queue_exit(&ring_);
      return false;
    }
    reaper_ = std::thread([this] { reap(); });
    return true;
  }

  void poll() noexcept override {
    const std::unique_lock reaping(reaping_, std::try_to_lock);
    if (reaping.owns_lock()) take_back();
  }

  void start(const Transfer& transfer, TransferDone done) override {
    Request request{.transfer = transfer, .rest = transfer, .done = std::move(done)};
    int code = 0;
    {
      const auto lock = spin_lock(mutex_);
      if (unfinished_++ == 0 && asleep_) begun_.notify_one();
      if (free_.empty()) return waiting_.push_back(std::move(request));
      Request* const slot = free_.back();
      *slot = std::move(request);
      code = submit(*slot);
      if (code == 0) return free_.pop_back();
      request = std::move(*slot);
    }
    finish(request, code);
  }
  std::size_t depth() const override { return kDepth; }

  void register_memory(std::span<std::byte> memory) override {
    std::vector<iovec> chunks;
    for (std::size_t at = 0; at < memory.size(); at += kChunk) {
      chunks.push_back({.iov_base = memory.data() + at, .iov_len = std::min(kChunk, memory.size() - at)});
    }
    const auto lock = spin_lock(mutex_);
    if (registered_.memory.empty() && !chunks.empty() &&
        io_uring_register_buffers(&ring_, chunks.data(), static_cast<unsigned>(chunks.size())) == 0) {
      registered_.memory = memory;
    }
  }
  void forget_memory() override {
    const auto lock = spin_lock(mutex_);
    if (!registered_.memory.empty()) io_uring_unregister_buffers(&ring_);
    registered_ = {};
  }

 private:
  /// Hands the next part of a request to the kernel; 0 or an errno. Needs the lock.
  int submit(Request& request) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    if (!entry) return EAGAIN;
    const Transfer& rest = request.rest;
    const auto size = static_cast<unsigned>(std::min(rest.memory.size(), kChunk));
    const int chunk = registered_.chunk_of(rest.memory.first(size));
    std::byte* const memory = rest.memory.data();
    const bool reads = rest.direction == Direction::kRead;
    if (reads && chunk >= 0) {
      io_uring_prep_read_fixed(entry, descriptor_, memory, size, rest.offset, chunk);
    } else if (reads) {
      io_uring_prep_read(entry, descriptor_, memory, size, rest.offset);
    } else if (chunk >= 0) {
      io_uring_prep_write_fixed(entry, descriptor_, memory, size, rest.offset, chunk);
    } else {
      io_uring_prep_write(entry, descriptor_, memory, size, rest.offset);
    }
    io_uring_sqe_set_data(entry, &request);
    const int code = flush();
    if (code != 0) {  // the entry stays in the queue and goes with the next one: it must not touch the memory any more
      io_uring_prep_nop(entry);
      io_uring_sqe_set_data(entry, nullptr);
    }
    return code;
  }

  /// Tells the kernel of the entries made since; 0 or an errno. Needs the lock.
  int flush() {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const int result = io_uring_submit(&ring_);
      if (io_uring_sq_ready(&ring_) == 0) return 0;
      if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) return -result;
      if (result != -EINTR) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return EAGAIN;
  }

  /// Looks every few milliseconds, for those who do not poll(): waking up for every transfer would cost the processor
  /// more than the transfers do. So would being woken up whenever there is one again after none, until there were none
  /// for a while.
  void reap() {
    for (int idle = 0;; ++idle) {
      {
        std::unique_lock lock = spin_lock(mutex_);
        asleep_ = idle > kIdle;
        if (asleep_) begun_.wait(lock, [&] { return ending_ || unfinished_ > 0; });
        asleep_ = false;
        if (unfinished_ > 0) idle = 0;
        if (ending_ && unfinished_ == 0) return;
      }
      io_uring_cqe* entry = nullptr;
      __kernel_timespec time{.tv_sec = 0, .tv_nsec = kInterval};
      io_uring_wait_cqes(&ring_, &entry, 2 * kDepth, &time, nullptr);  // more than there are: until the time is over
      const std::lock_guard reaping(reaping_);
      take_back();
    }
  }

  /// Takes what has ended back from the kernel. Needs reaping_.
  void take_back() {
    std::array<io_uring_cqe*, kDepth> entries;
    std::array<std::pair<Request*, int>, kDepth> ended;
    while (const unsigned count = io_uring_peek_batch_cqe(&ring_, entries.data(), kDepth)) {
      for (unsigned i = 0; i < count; ++i) {
        ended[i] = {static_cast<Request*>(io_uring_cqe_get_data(entries[i])), entries[i]->res};
      }
      io_uring_cq_advance(&ring_, count);
      { const auto handed_over = spin_lock(mutex_); }  // slots were filled under the lock, by any thread
      for (unsigned i = 0; i < count; ++i) {
        if (ended[i].first) advance(*ended[i].first, ended[i].second);
      }
    }
  }

  /// A part of the request in this slot has ended with this result: goes on with it, or ends it.
  void advance(Request& slot, int result) {
    const bool again = result == -EINTR || result == -EAGAIN;
    slot.attempts = again ? slot.attempts + 1 : 0;
    if (result > 0) {
      slot.rest.offset += static_cast<std::uint64_t>(result);
      slot.rest.memory = slot.rest.memory.subspan(static_cast<std::size_t>(result));
    }
    int code = result < 0 ? -result : 0;
    const bool ended = again ? slot.attempts >= kAttempts : result <= 0;
    if (!ended && !slot.rest.memory.empty()) {
      const auto lock = spin_lock(mutex_);
      code = submit(slot);
      if (code == 0) return;
    }
    release(slot, code);
  }

  /// Gives the slot to a request that waits, and ends the one it held.
  void release(Request& slot, int code) {
    const Request ended = std::move(slot);
    std::deque<Request> refused;
    {
      const auto lock = spin_lock(mutex_);
      while (true) {
        if (waiting_.empty()) {
          free_.push_back(&slot);
          break;
        }
        slot = std::move(waiting_.front());
        waiting_.pop_front();
        if (submit(slot) == 0) break;
        refused.push_back(std::move(slot));
      }
    }
    finish(ended, code);
    for (const Request& request : refused) finish(request, EIO);
  }

  void finish(const Request& request, int code) {
    const bool whole = request.rest.memory.empty();
    request.done(whole ? nullptr : transfer_error(name_, request.transfer, code));
    const auto lock = spin_lock(mutex_);
    --unfinished_;
  }

  int descriptor_;
  std::string name_;
  io_uring ring_{};
  std::mutex reaping_;  // of taking entries back from the ring; before the other
  std::mutex mutex_;    // of everything below, and of handing entries to the ring
  std::condition_variable begun_;
  std::array<Request, kDepth> slots_;
  std::vector<Request*> free_;
  std::deque<Request> waiting_;
  Registered registered_;
  std::size_t unfinished_ = 0;  // requests whose `done` has not returned
  bool asleep_ = false, ending_ = false;
  std::thread reaper_;
};

}  // namespace

std::unique_ptr<IoEngine> make_ring_engine(int descriptor, std::string name) {
  auto engine = std::make_unique<RingEngine>(descriptor, std::move(name));
  if (!engine->open()) return nullptr;
  return engine;
}

}  // namespace hearth::memory
