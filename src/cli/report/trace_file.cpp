#include "cli/report/trace_file.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 32;
constexpr double kMaxMicroseconds = 1e14;  // three years

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Not negative; 0 where there is none.
double number_at(const json& object, const char* key, const std::string& name) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return 0;
  const auto value = found->get<double>();
  require(std::isfinite(value) && value >= 0, ErrorKind::kCorrupt, "{} has an event with {} = {}", name, key, value);
  return value;
}

std::int64_t nanoseconds_at(const json& object, const char* key, const std::string& name) {
  const double value = number_at(object, key, name);
  require(value < kMaxMicroseconds, ErrorKind::kCorrupt, "{} has an event with {} = {}", name, key, value);
  return std::llround(1e3 * value);
}

std::optional<trace::Category> category_of(const std::string& name) {
  for (const auto category : {trace::Category::kCompute, trace::Category::kRead, trace::Category::kWrite,
                              trace::Category::kWait, trace::Category::kCheckpoint}) {
    if (name == to_string(category)) return category;
  }
  return {};
}

class Parser {
 public:
  explicit Parser(std::string name) : name_(std::move(name)) {}

  trace::Recording parse(std::string_view text) {
    const json all = json::parse(text, nullptr, /*allow_exceptions=*/false);
    const auto events = all.is_object() ? all.find("traceEvents") : all.end();
    require(all.is_object() && events != all.end() && events->is_array(), ErrorKind::kCorrupt,
            "{} is no trace: expected JSON with a list \"traceEvents\", from hearth run --trace", name_);
    for (const json& event : *events) add(event);
    std::ranges::stable_sort(out_.events, {}, &trace::Event::begin);
    return std::move(out_);
  }

 private:
  void add(const json& event) {
    require(event.is_object(), ErrorKind::kCorrupt, "{} has an event that is no object", name_);
    const auto found = event.find("args");
    const json args = found != event.end() && found->is_object() ? *found : json::object();
    const std::string phase = text_at(event, "ph");
    if (phase == "M" && text_at(event, "name") == "thread_name") out_.tracks[track(event)] = text_at(args, "name");
    if (phase == "X") add_span(event, args);
    if (phase == "C") add_counters(event, args);
  }

  void add_span(const json& event, const json& args) {
    const auto category = category_of(text_at(event, "cat"));
    if (!category) return;
    out_.events.push_back({.counter = false,
                           .category = *category,
                           .track = track(event),
                           .begin = nanoseconds_at(event, "ts", name_),
                           .duration = nanoseconds_at(event, "dur", name_),
                           .value = number_at(args, "bytes", name_),
                           .name = text_at(event, "name"),
                           .detail = text_at(args, "detail")});
  }

  void add_counters(const json& event, const json& args) {
    for (const auto& [series, value] : args.items()) {
      out_.events.push_back({.counter = true,
                             .category = trace::Category::kCompute,
                             .track = 0,
                             .begin = nanoseconds_at(event, "ts", name_),
                             .duration = 0,
                             .value = number_at(args, series.c_str(), name_),
                             .name = text_at(event, "name"),
                             .detail = series});
    }
  }

  /// Tracks are numbered as they come.
  trace::Track track(const json& event) {
    const double number = number_at(event, "tid", name_);
    const auto [place, added] = tracks_.emplace(number, static_cast<trace::Track>(tracks_.size()));
    if (added) out_.tracks.push_back(fmt::format("thread {}", number));
    return place->second;
  }

  const std::string name_;
  trace::Recording out_;
  std::map<double, trace::Track> tracks_;
};

}  // namespace

trace::Recording parse_trace(std::string_view text, const std::string& name) { return Parser(name).parse(text); }

trace::Recording read_trace(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  return parse_trace({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace hearth::cli
