#include "memory/tier_spec.h"

#include "base/file.h"
#include "memory/tier_description.h"
#include "tests/base/temporary_folder.h"
#include "tests/memory/tier_exercises.h"

namespace hearth::memory {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(ParseSize, KnowsUnits) {
  EXPECT_EQ(parse_size("1"), 1U);
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("4K"), 4096U);
  EXPECT_EQ(parse_size("4KiB"), 4096U);
  EXPECT_EQ(parse_size("3M"), 3U << 20);
  EXPECT_EQ(parse_size("60GiB"), 60 * kGiB);
  EXPECT_EQ(parse_size("2T"), 2048 * kGiB);
  EXPECT_EQ(parse_size("4194304TiB"), std::uint64_t{1} << 62);
}

TEST(ParseSize, SaysWhatIsNoSize) {
  for (const char* text : {"", "G", "GiB", "-1G", "+1G", " 1G", "1 G", "1.5G", "1GB", "1gib", "1GiBs", "0", "0G",
                           "0x10", "4194305TiB", "99999999999999999999", "1KiBB", "1P"}) {
    expect_error(ErrorKind::kInvalidArgument, "for example 60GiB", [&] { parse_size(text); });
  }
}

TEST(TierSpec, IsParsed) {
  const TierSpec nvme = parse_tier_spec("nvme:/scratch:60GiB");
  EXPECT_EQ(nvme.kind, TierKind::kFile);
  EXPECT_EQ(nvme.where, "/scratch");
  EXPECT_EQ(nvme.capacity, 60 * kGiB);
  EXPECT_EQ(nvme.engine, Engine::kBest);
  EXPECT_EQ(nvme.text, "nvme:/scratch:60GiB");
  const TierSpec file = parse_tier_spec("file:a:b/c,d:1G,threads");
  EXPECT_EQ(file.kind, TierKind::kFile);
  EXPECT_EQ(file.where, "a:b/c,d");
  EXPECT_EQ(file.engine, Engine::kThreads);
  EXPECT_EQ(parse_tier_spec("dax:/mnt/pmem:100GiB").kind, TierKind::kDax);
  EXPECT_EQ(parse_tier_spec("numa:1:64GiB").kind, TierKind::kNuma);
  const TierSpec emulated = parse_tier_spec("emulated:my file.json:64M");
  EXPECT_EQ(emulated.kind, TierKind::kEmulated);
  EXPECT_EQ(emulated.where, "my file.json");
}

TEST(TierSpec, KeysLeaveOutTheSize) {
  EXPECT_EQ(tier_key(parse_tier_spec("nvme:/scratch:60GiB")), "nvme:/scratch");
  EXPECT_EQ(tier_key(parse_tier_spec("file:a:b:1G,threads")), "file:a:b,threads");
}

TEST(TierSpec, SaysWhatIsNoTier) {
  const auto refused = [](const std::string& text, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { parse_tier_spec(text); });
    expect_error(ErrorKind::kInvalidArgument, "for example nvme:/scratch:60GiB", [&] { parse_tier_spec(text); });
  };
  refused("", "fewer than three parts");
  refused("nvme", "fewer than three parts");
  refused("nvme:/scratch", "fewer than three parts");
  refused("ssd:/scratch:1G", "\"ssd\" is none of nvme, file, dax, numa and emulated");
  refused("nvme::1G", "does not say where");
  refused("nvme:/scratch:", "is no size");
  refused("nvme:/scratch:many", "\"many\" is no size");
  refused("numa:one:1G", "not the number of a NUMA node");
  refused("numa:-1:1G", "not the number");
  refused("numa:99999999999:1G", "not the number");
  refused("dax:/mnt:1G,threads", "only files");
}

TEST(MakeTier, OfEveryKind) {
  const TemporaryFolder folder;
  const std::string where = folder.path().string();
  const auto exercise = [](const std::string& text, const TierSpeed* measured) {
    const auto tier = make_tier(parse_tier_spec(text), measured);
    EXPECT_EQ(tier->capacity(), 8U << 20);
    EXPECT_TRUE(tier->speed().valid());
    testing::round_trip(*tier, 8 << 20, 256 << 10);
    return tier->name();
  };
  EXPECT_EQ(exercise("nvme:" + where + ":8MiB", nullptr), "nvme:" + where);
  EXPECT_EQ(exercise("file:" + where + ":8MiB,threads", &built_in_tiers().front().speed), "file:" + where);
  EXPECT_TRUE(exercise("dax:" + where + ":8MiB", &built_in_tiers().front().speed).starts_with("dax:" + where));
  EXPECT_EQ(exercise("emulated:nvme:8MiB", nullptr), "emulated nvme");
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(MakeTier, UsesTheSpeedItIsGiven) {
  const TemporaryFolder folder;
  const SpeedPoint point{.bytes = 1, .latency = 2, .bandwidth = 3};
  const TierSpeed measured{.read = {point}, .write = {point}};
  const auto tier = make_tier(parse_tier_spec("file:" + folder.path().string() + ":1M"), &measured);
  EXPECT_EQ(tier->speed().latency(Direction::kRead, 1), 2);
  const auto emulated = make_tier(parse_tier_spec("emulated:cxl_dram:1M"));
  EXPECT_EQ(emulated->speed().read.front().bandwidth, 48e9);
}

TEST(MakeTier, SaysWhatIsMissing) {
  expect_error(ErrorKind::kIo, "/no/such/folder", [] { make_tier(parse_tier_spec("nvme:/no/such/folder:1M")); });
  expect_error(ErrorKind::kInvalidArgument, "NUMA", [] { make_tier(parse_tier_spec("numa:4000:1M")); });
  expect_error(ErrorKind::kInvalidArgument, "cxl_dram", [] { make_tier(parse_tier_spec("emulated:tape:1M")); });
}

}  // namespace
}  // namespace hearth::memory
