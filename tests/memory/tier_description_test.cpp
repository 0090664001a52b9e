#include "memory/tier_description.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "base/file.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"

namespace hearth::memory {
namespace {

using Json = nlohmann::json;

TEST(TierDescription, BuiltInOnesNameTheirSourceAndRoundTrip) {
  std::set<std::string> names;
  for (const TierDescription& description : built_in_tiers()) {
    EXPECT_TRUE(description.speed.valid()) << description.name;
    EXPECT_GT(description.source.size(), 50U) << description.name;
    const std::string text = to_text(description);
    const TierDescription back = parse_tier_description(text, "text");
    EXPECT_EQ(to_text(back), text);
    EXPECT_EQ(back.name, description.name);
    names.insert(description.name);
  }
  EXPECT_EQ(names, (std::set<std::string>{"optane_pmem_100", "optane_pmem_200", "cxl_dram", "nvme"}));
}

/// Larger transfers take longer and are no less efficient; one alone is no faster than many.
TEST(TierDescription, BuiltInOnesMakeSense) {
  for (const TierDescription& description : built_in_tiers()) {
    for (const Direction direction : {Direction::kRead, Direction::kWrite}) {
      for (std::uint64_t bytes = 4096; bytes < (1 << 28); bytes *= 2) {
        const TierSpeed& speed = description.speed;
        EXPECT_LT(speed.latency(direction, bytes), speed.latency(direction, 2 * bytes)) << description.name << bytes;
        EXPECT_GE(1.000001 * speed.latency(direction, bytes), speed.busy(direction, bytes))
            << description.name << bytes;
        EXPECT_GE(2.000001 * speed.busy(direction, bytes), speed.busy(direction, 2 * bytes)) << description.name;
      }
    }
  }
}

TEST(TierDescription, IsFoundByNameOrFile) {
  EXPECT_EQ(find_tier_description("nvme").name, "nvme");
  const TemporaryFolder folder;
  TierDescription own = built_in_tiers().front();
  own.name = "own-1.5";
  write_file_atomic(folder / "own.json", to_text(own));
  EXPECT_EQ(find_tier_description((folder / "own.json").string()).name, "own-1.5");
  expect_error(ErrorKind::kInvalidArgument,
               "neither a file nor one of: optane_pmem_100, optane_pmem_200, cxl_dram, nvme",
               [] { find_tier_description("tape"); });
}

void refuses(const std::function<void(Json&)>& change, const std::string& part) {
  Json json = Json::parse(to_text(built_in_tiers().front()));
  change(json);
  expect_error(ErrorKind::kCorrupt, part,
               [&] { parse_tier_description(json.dump(-1, ' ', false, Json::error_handler_t::replace), "it"); });
}

TEST(TierDescription, NonsenseIsRefused) {
  refuses([](Json& json) { json["format"] = "other"; }, "it is no description of a tier");
  refuses([](Json& json) { json = Json::array(); }, "is no description");
  refuses([](Json& json) { json["version"] = "1"; }, "\"version\" must be");
  refuses([](Json& json) { json.erase("version"); }, "\"version\" must be");
  refuses([](Json& json) { json["name"] = "No Such"; }, "\"name\" must be");
  refuses([](Json& json) { json["name"] = std::string(65, 'a'); }, "\"name\" must be");
  refuses([](Json& json) { json["name"] = 5; }, "\"name\" must be a text");
  refuses([](Json& json) { json["source"] = "red \x1b[31m"; }, "plain text");
  refuses([](Json& json) { json["source"] = std::string(5000, 'a'); }, "plain text of at most");
  refuses([](Json& json) { json.erase("source"); }, "\"source\"");
  refuses([](Json& json) { json.erase("read"); }, "\"read\" must be a list");
  refuses([](Json& json) { json["write"] = Json::array(); }, "\"write\" must be a list");
  refuses([](Json& json) { json["write"] = Json::array({5}); }, "\"bytes\"");
  refuses([](Json& json) { json["read"] = Json(std::vector<Json>(65, json["read"][0])); }, "1 to 64 points");
  refuses([](Json& json) { json["read"][1]["bytes"] = json["read"][0]["bytes"]; }, "ascending");
  refuses([](Json& json) { json["read"][0]["bytes"] = 0; }, "\"bytes\"");
  refuses([](Json& json) { json["read"][0]["bytes"] = 1e300; }, "\"bytes\"");
  refuses([](Json& json) { json["read"][0]["latency"] = -1; }, "\"latency\"");
  refuses([](Json& json) { json["read"][0]["latency"] = "fast"; }, "\"latency\"");
  refuses([](Json& json) { json["read"][0].erase("bandwidth"); }, "\"bandwidth\"");
  refuses([](Json& json) { json["read"][0]["bandwidth"] = 1e99; }, "\"bandwidth\"");
  Json later = Json::parse(to_text(built_in_tiers().front()));
  later["version"] = 2;
  expect_error(ErrorKind::kUnsupported, "version 2", [&] { parse_tier_description(later.dump(), "it"); });
  later["version"] = 4294967297;
  expect_error(ErrorKind::kUnsupported, "version 4294967297", [&] { parse_tier_description(later.dump(), "it"); });
}

/// Any bytes give a description or an Error, nothing else.
TEST(TierDescription, DamageNeverEscapes) {
  const std::string text = to_text(built_in_tiers().front());
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = text.substr(0, i % 3 == 0 ? random() % text.size() : text.size());
    for (int changes = static_cast<int>(random() % 4); changes > 0 && !damaged.empty(); --changes) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    try {
      EXPECT_TRUE(parse_tier_description(damaged, "damaged").speed.valid());
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kUnsupported) << error.what();
    }
  }
  expect_error(ErrorKind::kCorrupt, "no description", [] { parse_tier_description(std::string(60'000, '['), "deep"); });
  expect_error(ErrorKind::kCorrupt, "at most", [] { parse_tier_description(std::string(70'000, ' '), "long"); });
}

}  // namespace
}  // namespace hearth::memory
