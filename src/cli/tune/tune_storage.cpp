#include "cli/tune/tune_storage.h"

#include <cstdlib>

#include "base/file.h"
#include "base/text.h"
#include "memory/speed_json.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxBytes = 1 << 20;
constexpr std::size_t kMaxTiers = 64, kMaxKey = 4096;

MeasuredStorage::Entry read_tier(const TuneFields& fields, const Json& entry, const std::string& file) {
  const Json& key = fields.at(entry, "tier");
  const bool plain = key.is_string() && key.get_ref<const std::string&>().size() <= kMaxKey &&
                     is_plain_text(key.get_ref<const std::string&>());
  fields.want(plain, "\"tier\" must be a plain text");
  const Json& emulated = fields.at(entry, "emulated");
  fields.want(emulated.is_boolean(), "\"emulated\" must be true or false");
  return {.key = key.get<std::string>(),
          .emulated = emulated.get<bool>(),
          .speed = memory::speed_from_json(fields.at(entry, "speed"), file)};
}

memory::DramSpeed read_dram(const TuneFields& fields, const Json& dram) {
  const auto positive = [&](const char* name) {
    const Json& value = fields.at(dram, name);
    fields.want(value.is_number() && value > 0 && value < 1e15, fmt::format("\"{}\" must be a positive number", name));
    return value.get<double>();
  };
  return {.copy_bandwidth = positive("copy_bandwidth"), .random_latency = positive("random_latency")};
}

}  // namespace

fs::path default_tune_file() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config && *config) return fs::path(config) / "hearth" / "tune.json";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".config" / "hearth" / "tune.json" : fs::path();
}

const memory::TierSpeed* MeasuredStorage::find(const memory::TierSpec& spec) const {
  const std::string key = memory::tier_key(spec);
  for (const Entry& tier : tiers) {
    if (tier.key == key) return &tier.speed;
  }
  return nullptr;
}

Json parse_tune_file(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  Json json = Json::parse(text, text + bytes.size(), nullptr, /*allow_exceptions=*/false);
  require(json.is_object() && json.value("format", Json()) == kTuneFormat, ErrorKind::kCorrupt,
          "{} is no file of hearth tune", path.string());
  const int version = TuneFields(path.string()).integer(json, "version", 1, 1 << 30);
  require(version == kTuneVersion, ErrorKind::kUnsupported,
          "{} has version {}, this Hearth reads version {}; run hearth "
          "tune again",
          path.string(), version, kTuneVersion);
  return json;
}

MeasuredStorage read_tuned_storage(const fs::path& path) {
  const Json json = parse_tune_file(path);
  const TuneFields fields(path.string());
  MeasuredStorage storage;
  if (json.contains("dram")) storage.dram = read_dram(fields, json.at("dram"));
  const Json tiers = json.value("tiers", Json::array());
  fields.want(tiers.is_array() && tiers.size() <= kMaxTiers, "\"tiers\" must be a list");
  for (const Json& entry : tiers) storage.tiers.push_back(read_tier(fields, entry, path.string()));
  return storage;
}

std::optional<memory::TierSpeed> find_tier_speed(const memory::TierSpec& spec, const CommonOptions& options) {
  const fs::path path = default_tune_file();
  std::error_code ignored;
  if (path.empty() || !fs::exists(path, ignored)) return std::nullopt;
  try {
    const MeasuredStorage storage = read_tuned_storage(path);
    const memory::TierSpeed* const speed = storage.find(spec);
    return speed != nullptr ? std::optional(*speed) : std::nullopt;
  } catch (const Error& error) {
    warn(options, fmt::format("not used: {}", error.what()));
  }
  return std::nullopt;
}

}  // namespace hearth::cli
