#include "cli/model/tune_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/system.h"
#include "memory/speed_json.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;
using compiler::LevelShape;
using compiler::MachineCosts;
using compiler::MeasuredLevel;

constexpr std::size_t kMaxEntries = 1000;

MeasuredLevel read_level(const TuneFields& fields, const Json& entry) {
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

}  // namespace

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
  Json json = {{"format", kTuneFormat},
               {"version", kTuneVersion},
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

void write_tune_file(const fs::path& path, const MachineCosts& costs, const MeasuredStorage& storage) {
  write_file_atomic(path, to_json(costs, storage).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

MachineCosts read_tune_file(const fs::path& path) {
  const Json json = parse_tune_file(path);
  const TuneFields fields(path.string());
  MachineCosts costs;
  costs.processor = fields.text(json, "processor");
  costs.threads = fields.integer(json, "threads", 1, 4096);
  const Json& levels = fields.at(json, "levels");
  fields.want(levels.is_array() && !levels.empty() && levels.size() <= kMaxEntries,
              "\"levels\" must be a list of measurements");
  for (const Json& entry : levels) costs.levels.push_back(read_level(fields, entry));
  return costs;
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
