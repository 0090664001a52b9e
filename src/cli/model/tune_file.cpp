#include "cli/model/tune_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/system.h"
#include "base/text.h"
#include "memory/speed_json.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;
using compiler::LevelShape;
using compiler::MachineCosts;
using compiler::MeasuredLevel;

constexpr const char* kFormat = "hearth-tune";
constexpr int kVersion = 1;
constexpr std::uint64_t kMaxBytes = 1 << 20;
constexpr std::size_t kMaxEntries = 1000;
constexpr std::size_t kMaxTiers = 64, kMaxKey = 4096;
constexpr double kMaxSeconds = 3600;

/// Reads fields of one file and says what is wrong with them.
class Fields {
 public:
  explicit Fields(std::string file) : file_(std::move(file)) {}

  void want(bool condition, const std::string& what) const {
    require(condition, ErrorKind::kCorrupt, "{}: {}; run hearth tune again", file_, what);
  }
  const Json& at(const Json& object, const char* name) const {
    want(object.is_object() && object.contains(name), fmt::format("\"{}\" is missing", name));
    return object.at(name);
  }
  int integer(const Json& object, const char* name, int low, int high) const {
    const Json& value = at(object, name);
    const bool fits = value.is_number_integer() && value >= low && value <= high;
    want(fits, fmt::format("\"{}\" must be a whole number from {} to {}", name, low, high));
    return value.get<int>();
  }
  double seconds(const Json& object, const char* name) const {
    const Json& value = at(object, name);
    const bool fits = value.is_number() && value >= 0 && value <= kMaxSeconds;
    want(fits, fmt::format("\"{}\" must be a number of seconds", name));
    return value.get<double>();
  }
  std::string text(const Json& object, const char* name) const {
    const Json& value = at(object, name);
    want(value.is_string() && value.get_ref<const std::string&>().size() <= 200,
         fmt::format("\"{}\" must be a short text", name));
    return value.get<std::string>();
  }

 private:
  std::string file_;
};

MeasuredLevel read_level(const Fields& fields, const Json& entry) {
  MeasuredLevel level;
  level.shape = {.log_n = fields.integer(entry, "log_n", 4, 17),
                 .q_primes = fields.integer(entry, "q_primes", 1, 64),
                 .special_primes = fields.integer(entry, "special_primes", 1, 64),
                 .digit_primes = fields.integer(entry, "digit_primes", 1, 64)};
  const Json& seconds = fields.at(entry, "seconds");
  double sum = 0;
  for (std::size_t i = 0; i < compiler::kPrimitives; ++i) {
    sum += level.seconds[i] = fields.seconds(seconds, compiler::kPrimitiveNames[i]);
  }
  fields.want(sum > 0, "a level at which nothing takes any time");
  return level;
}

MeasuredStorage::Entry read_tier(const Fields& fields, const Json& entry, const std::string& file) {
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

memory::DramSpeed read_dram(const Fields& fields, const Json& dram) {
  const auto positive = [&](const char* name) {
    const Json& value = fields.at(dram, name);
    fields.want(value.is_number() && value > 0 && value < 1e15, fmt::format("\"{}\" must be a positive number", name));
    return value.get<double>();
  };
  return {.copy_bandwidth = positive("copy_bandwidth"), .random_latency = positive("random_latency")};
}

/// Checks format and version.
Json parse(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  Json json = Json::parse(text, text + bytes.size(), nullptr, /*allow_exceptions=*/false);
  require(json.is_object() && json.value("format", Json()) == kFormat, ErrorKind::kCorrupt,
          "{} is no file of hearth tune", path.string());
  const int version = Fields(path.string()).integer(json, "version", 1, 1 << 30);
  require(version == kVersion, ErrorKind::kUnsupported,
          "{} has version {}, this Hearth reads version {}; run hearth "
          "tune again",
          path.string(), version, kVersion);
  return json;
}

}  // namespace

fs::path default_tune_file() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config && *config) return fs::path(config) / "hearth" / "tune.json";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".config" / "hearth" / "tune.json" : fs::path();
}

Json to_json(const MachineCosts& costs, const MeasuredStorage& storage) {
  Json levels = Json::array();
  for (const MeasuredLevel& level : costs.levels) {
    Json seconds = Json::object();
    for (std::size_t i = 0; i < compiler::kPrimitives; ++i) seconds[compiler::kPrimitiveNames[i]] = level.seconds[i];
    levels.push_back({{"log_n", level.shape.log_n},
                      {"q_primes", level.shape.q_primes},
                      {"special_primes", level.shape.special_primes},
                      {"digit_primes", level.shape.digit_primes},
                      {"seconds", seconds}});
  }
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"processor", costs.processor},
               {"threads", costs.threads},
               {"levels", levels}};
  if (storage.dram) {
    json["dram"] = {{"copy_bandwidth", storage.dram->copy_bandwidth}, {"random_latency", storage.dram->random_latency}};
  }
  for (const MeasuredStorage::Entry& tier : storage.tiers) {
    json["tiers"].push_back({{"tier", tier.key}, {"emulated", tier.emulated}, {"speed", memory::to_json(tier.speed)}});
  }
  return json;
}

const memory::TierSpeed* MeasuredStorage::find(const memory::TierSpec& spec) const {
  const std::string key = memory::tier_key(spec);
  for (const Entry& tier : tiers) {
    if (tier.key == key) return &tier.speed;
  }
  return nullptr;
}

void write_tune_file(const fs::path& path, const MachineCosts& costs, const MeasuredStorage& storage) {
  write_file_atomic(path, to_json(costs, storage).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

MachineCosts read_tune_file(const fs::path& path) {
  const Json json = parse(path);
  const Fields fields(path.string());
  MachineCosts costs;
  costs.processor = fields.text(json, "processor");
  costs.threads = fields.integer(json, "threads", 1, 4096);
  const Json& levels = fields.at(json, "levels");
  fields.want(levels.is_array() && !levels.empty() && levels.size() <= kMaxEntries,
              "\"levels\" must be a list of measurements");
  for (const Json& entry : levels) costs.levels.push_back(read_level(fields, entry));
  return costs;
}

MeasuredStorage read_tuned_storage(const fs::path& path) {
  const Json json = parse(path);
  const Fields fields(path.string());
  MeasuredStorage storage;
  if (json.contains("dram")) storage.dram = read_dram(fields, json.at("dram"));
  const Json tiers = json.value("tiers", Json::array());
  fields.want(tiers.is_array() && tiers.size() <= kMaxTiers, "\"tiers\" must be a list");
  for (const Json& entry : tiers) storage.tiers.push_back(read_tier(fields, entry, path.string()));
  return storage;
}

std::optional<MachineCosts> find_costs(const std::string& file, const CommonOptions& options) {
  if (!file.empty()) return read_tune_file(file);
  const fs::path path = default_tune_file();
  std::error_code ignored;
  if (path.empty() || !fs::exists(path, ignored)) return std::nullopt;
  try {
    MachineCosts costs = read_tune_file(path);
    if (costs.processor == cpu_model() && costs.threads == threads()) return costs;
    warn(options, fmt::format("{} was measured on {} thread(s) of {}: not used; run hearth tune here, or give the file "
                              "as --tune to predict for that machine",
                              path.string(), costs.threads, printable(costs.processor)));
  } catch (const Error& error) {
    warn(options, fmt::format("not used: {}", error.what()));
  }
  return std::nullopt;
}

}  // namespace hearth::cli
