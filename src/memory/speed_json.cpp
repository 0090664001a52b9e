#include "memory/speed_json.h"

#include "base/error.h"

namespace hearth::memory {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxPoints = 64;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 40;

Json points_to_json(const std::vector<SpeedPoint>& points) {
  Json list = Json::array();
  for (const SpeedPoint& point : points) {
    list.push_back({{"bytes", point.bytes}, {"latency", point.latency}, {"bandwidth", point.bandwidth}});
  }
  return list;
}

double number(const Json& object, const char* name, double low, double high, const std::string& origin) {
  const bool fits = object.is_object() && object.contains(name) && object.at(name).is_number() &&
                    object.at(name).get<double>() >= low && object.at(name).get<double>() <= high;
  require(fits, ErrorKind::kCorrupt, "{}: every point of a speed needs a number \"{}\" from {} to {}", origin, name,
          low, high);
  return object.at(name).get<double>();
}

std::vector<SpeedPoint> points_from_json(const Json& json, const char* direction, const std::string& origin) {
  const bool is_list = json.is_object() && json.contains(direction) && json.at(direction).is_array() &&
                       !json.at(direction).empty() && json.at(direction).size() <= kMaxPoints;
  require(is_list, ErrorKind::kCorrupt, "{}: \"{}\" must be a list of 1 to {} points", origin, direction, kMaxPoints);
  std::vector<SpeedPoint> points;
  for (const Json& entry : json.at(direction)) {
    const double bytes = number(entry, "bytes", 1, static_cast<double>(kMaxBytes), origin);
    points.push_back({.bytes = static_cast<std::uint64_t>(bytes),
                      .latency = number(entry, "latency", 1e-9, 3600, origin),
                      .bandwidth = number(entry, "bandwidth", 1e3, 1e14, origin)});
  }
  return points;
}

}  // namespace

Json to_json(const TierSpeed& speed) {
  return {{"read", points_to_json(speed.read)}, {"write", points_to_json(speed.write)}};
}

TierSpeed speed_from_json(const Json& json, const std::string& origin) {
  TierSpeed speed{.read = points_from_json(json, "read", origin), .write = points_from_json(json, "write", origin)};
  require(speed.valid(), ErrorKind::kCorrupt, "{}: points of a speed must come by ascending \"bytes\"", origin);
  return speed;
}

}  // namespace hearth::memory
