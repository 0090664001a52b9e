#pragma once

#include <filesystem>
#include <memory>

#include "memory/io_engine.h"
#include "memory/tier_base.h"
#include "memory/unnamed_file.h"

namespace hearth::memory {

/// How a file tier talks to the kernel.
enum class Engine : std::uint8_t {
  kBest,    ///< io_uring where the kernel allows it, else threads
  kThreads  ///< pread and pwrite on a few threads
};

/// A tier in a file without a name, which passes the page cache by where the file system allows it. Nothing is left in
/// the folder, however the process ends. Room on the disk is taken as bytes are first written: a full disk ends
/// transfers with Error(kResource). Alignment 4096. Bytes never written read as zeros.
class FileTier final : public TierBase {
 public:
  /// `name` is what name() returns. Error(kIo) naming the folder, Error(kResource) where it cannot hold a file of that
  /// size.
  FileTier(std::string name, const std::filesystem::path& folder, std::uint64_t capacity, Engine engine = Engine::kBest,
           TierSpeed speed = unmeasured_speed());
  ~FileTier() override;

  std::size_t depth() const override { return engine_->depth(); }
  void poll() noexcept override { engine_->poll(); }
  void register_memory(std::span<std::byte> memory) override { engine_->register_memory(memory); }
  void forget_memory() override { engine_->forget_memory(); }

  /// Whether the page cache is passed by. Where it is not, the kernel's copies take memory beside Hearth's own.
  bool direct() const { return file_.direct(); }
  bool uses_io_uring() const { return uses_io_uring_; }

 private:
  void begin(const Transfer& transfer, TransferDone done) override { engine_->start(transfer, std::move(done)); }

  UnnamedFile file_;
  bool uses_io_uring_ = false;
  std::unique_ptr<IoEngine> engine_;  // last: waits for its transfers before the file is closed
};

}  // namespace hearth::memory
