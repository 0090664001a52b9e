#include "memory/mapped_tier.h"

#include <numa.h>

#include "tests/base/temporary_folder.h"
#include "tests/memory/tier_exercises.h"

namespace hearth::memory {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::unique_ptr<Tier> make(MappedMemory memory) { return std::make_unique<MappedTier>("mapped", std::move(memory)); }

void exercise(const std::function<MappedMemory()>& memory) {
  const auto tier = make(memory());
  EXPECT_EQ(tier->alignment(), 64U);
  EXPECT_EQ(tier->capacity(), 8 * kMiB);
  testing::round_trip(*tier, 8 * kMiB, kMiB);
  testing::round_trip(*tier, kMiB, 64);
  testing::refuses_bad_transfers(*tier);
  testing::ends_may_start(make(memory()));
}

TEST(MappedTier, OfAnonymousMemory) {
  exercise([] { return MappedMemory::anonymous(8 * kMiB); });
}

TEST(MappedTier, OfAFile) {
  const TemporaryFolder folder;
  exercise([&] { return MappedMemory::of_file(folder.path(), 8 * kMiB); });
  const MappedMemory memory = MappedMemory::of_file(folder.path(), kMiB);
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(MappedTier, OfANode) {
  if (numa_available() < 0) GTEST_SKIP() << "this kernel has no NUMA support";
  int node = 0;
  while (!numa_bitmask_isbitset(numa_all_nodes_ptr, static_cast<unsigned>(node))) ++node;
  exercise([&] { return MappedMemory::of_node(node, 8 * kMiB); });
}

TEST(MappedTier, SaysWhyThereIsNoSuchMemory) {
  const TemporaryFolder folder;
  expect_error(ErrorKind::kInvalidArgument, "NUMA", [] { MappedMemory::of_node(4000, kMiB); });
  expect_error(ErrorKind::kInvalidArgument, "NUMA", [] { MappedMemory::of_node(-1, kMiB); });
  expect_error(ErrorKind::kIo, "No such file", [&] { MappedMemory::of_file(folder / "missing", kMiB); });
  expect_error(ErrorKind::kResource, "cannot", [&] { MappedMemory::of_file(folder.path(), std::uint64_t{1} << 50); });
  expect_error(ErrorKind::kResource, "cannot map", [] { MappedMemory::anonymous(std::uint64_t{1} << 60); });
}

}  // namespace
}  // namespace hearth::memory
