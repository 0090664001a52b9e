#include "memory/file_tier.h"

namespace hearth::memory {
namespace {

constexpr std::size_t kAlignment = 4096;

}  // namespace

FileTier::FileTier(std::string name, const std::filesystem::path& folder, std::uint64_t capacity, Engine engine,
                   TierSpeed speed)
    : TierBase(std::move(name), std::move(speed), capacity, kAlignment),
      file_(folder, this->capacity(), UnnamedFile::Caching::kDirect) {
  if (engine == Engine::kBest) engine_ = make_ring_engine(file_.descriptor(), this->name());
  uses_io_uring_ = engine_ != nullptr;
  if (!engine_) engine_ = make_thread_engine(file_.descriptor(), this->name());
}

FileTier::~FileTier() = default;

}  // namespace hearth::memory
