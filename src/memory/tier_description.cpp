#include "memory/tier_description.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "memory/speed_json.h"

namespace hearth::memory {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormat = "hearth-tier";
constexpr int kVersion = 1;
constexpr std::uint64_t kMaxBytes = 1 << 16;
constexpr std::size_t kMaxName = 64, kMaxSource = 2000;

struct SizeBandwidth {
  std::uint64_t bytes;
  double bandwidth;
};

/// Points of a device whose idle latency, speed of one stream and bandwidth by size are known.
std::vector<SpeedPoint> points(double latency, double one_stream, std::initializer_list<SizeBandwidth> sizes) {
  std::vector<SpeedPoint> out;
  for (const auto& [bytes, bandwidth] : sizes) {
    out.push_back(
        {.bytes = bytes, .latency = latency + static_cast<double>(bytes) / one_stream, .bandwidth = bandwidth});
  }
  return out;
}

constexpr std::uint64_t kKiB = 1 << 10, kMiB = 1 << 20;

TierDescription optane_pmem_100() {
  return {.name = "optane_pmem_100",
          .source =
              "Yang, Kim, Hoseinzadeh, Izraelevitz, Swanson: An Empirical Guide to the Behavior and Use of Scalable "
              "Persistent Memory, FAST 2020, with the data of its figures (github.com/NVSL/OptaneStudy, graphs/). "
              "Six interleaved 256 GB DIMMs of one socket. Latency: figure 2 (random read 305 ns, ntstore 90.4 ns) "
              "plus bytes over one thread's bandwidth of figure 4 (read 2.88 GB/s, ntstore 4.13 GB/s; the data "
              "file has the headings of its two write columns exchanged). Bandwidth: figure 5 (random accesses "
              "by size, read and ntstore); its value for 2 MiB serves for 64 MiB.",
          .speed = {.read = points(305.0e-9, 2.88e9,
                                   {{4 * kKiB, 25.98e9},
                                    {16 * kKiB, 29.33e9},
                                    {64 * kKiB, 33.79e9},
                                    {256 * kKiB, 36.52e9},
                                    {kMiB, 37.75e9},
                                    {64 * kMiB, 37.93e9}}),
                    .write = points(90.4e-9, 4.13e9,
                                    {{4 * kKiB, 9.44e9},
                                     {16 * kKiB, 10.96e9},
                                     {64 * kKiB, 12.17e9},
                                     {256 * kKiB, 12.58e9},
                                     {kMiB, 12.63e9},
                                     {64 * kMiB, 12.65e9}})}};
}

TierDescription optane_pmem_200() {
  constexpr double kFaster = 1.15;
  TierDescription description = optane_pmem_100();
  description.name = "optane_pmem_200";
  description.source =
      "An estimate: bandwidths of optane_pmem_100, measured by Yang et al., times 1.15, the most that the maker "
      "promised for the second series over the first (slide shown by ComputerBase, Optane Persistent Memory: Intel "
      "erhoeht bei Barlow Pass auf DDR4-3200, March 2020). Latency: that of the first series, for want of published "
      "measurements.";
  for (std::vector<SpeedPoint>* points : {&description.speed.read, &description.speed.write}) {
    for (SpeedPoint& point : *points) point.bandwidth *= kFaster;
  }
  return description;
}

TierDescription cxl_dram() {
  return {.name = "cxl_dram",
          .source =
              "Exploring Performance and Cost Optimization with ASIC-Based CXL Memory, EuroSys 2024, measurements of "
              "its CXL server (github.com/bytedance/eurosys24-artifacts, data/cxl/log_m_c*_w{0,6}_r0, Intel Memory "
              "Latency Checker). Latency: 244 ns idle (c1_w0; the tool measures reads only, the same is assumed "
              "of writes) plus bytes over one thread's bandwidth (read 16.7 GB/s of c1_w0, non-temporal writes "
              "21.8 GB/s of c1_w6). Bandwidth: the largest of any thread count (read 48.0 GB/s of c16_w0, writes "
              "47.1 GB/s of c4_w6), whatever the size.",
          .speed = {.read = points(244e-9, 16.7e9, {{4 * kKiB, 48.0e9}, {64 * kMiB, 48.0e9}}),
                    .write = points(244e-9, 21.8e9, {{4 * kKiB, 47.1e9}, {64 * kMiB, 47.1e9}})}};
}

TierDescription nvme() {
  return {.name = "nvme",
          .source =
              "Micron 9200 NVMe SSD (PCIe 3.0 x4), data sheet, features: typical latency at queue depth 1 92 us "
              "(read, least of 92-150) and 21 us (write), taken for 4 KiB; random 4 KiB up to 840000 reads and "
              "285000 writes a second; sequential 128 KiB up to 3.50 GB/s both ways. Latency of 128 KiB: that of "
              "4 KiB plus the rest at 3.50 GB/s.",
          .speed = {.read = {{.bytes = 4096, .latency = 92e-6, .bandwidth = 840e3 * 4096},
                             {.bytes = 131072, .latency = 92e-6 + 126976 / 3.5e9, .bandwidth = 3.5e9}},
                    .write = {{.bytes = 4096, .latency = 21e-6, .bandwidth = 285e3 * 4096},
                              {.bytes = 131072, .latency = 21e-6 + 126976 / 3.5e9, .bandwidth = 3.5e9}}}};
}

bool is_name(const std::string& text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  return !text.empty() && text.size() <= kMaxName && std::all_of(text.begin(), text.end(), allowed);
}

std::string text_field(const Json& json, const char* name, const std::string& origin) {
  const bool is_text = json.contains(name) && json.at(name).is_string();
  require(is_text, ErrorKind::kCorrupt, "{}: \"{}\" must be a text", origin, name);
  return json.at(name).get<std::string>();
}

}  // namespace

const std::vector<TierDescription>& built_in_tiers() {
  static const std::vector<TierDescription> all{optane_pmem_100(), optane_pmem_200(), cxl_dram(), nvme()};
  return all;
}

TierDescription find_tier_description(const std::string& name_or_file) {
  std::string names;
  for (const TierDescription& description : built_in_tiers()) {
    if (description.name == name_or_file) return description;
    names += (names.empty() ? "" : ", ") + description.name;
  }
  std::error_code ignored;
  require(std::filesystem::exists(name_or_file, ignored), ErrorKind::kInvalidArgument,
          "there is no description of a tier \"{}\", neither a file nor one of: {}", name_or_file, names);
  const std::vector<std::byte> bytes = read_file(name_or_file, kMaxBytes);
  return parse_tier_description({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name_or_file);
}

TierDescription parse_tier_description(std::string_view text, const std::string& origin) {
  require(text.size() <= kMaxBytes, ErrorKind::kCorrupt, "{}: a description of a tier has at most {} bytes", origin,
          kMaxBytes);
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  require(json.is_object() && json.value("format", Json()) == kFormat, ErrorKind::kCorrupt,
          "{} is no description of a tier: JSON with \"format\": \"{}\" was expected", origin, kFormat);
  const Json version = json.value("version", Json());
  require(version.is_number_integer(), ErrorKind::kCorrupt, "{}: \"version\" must be a whole number", origin);
  require(version == kVersion, ErrorKind::kUnsupported, "{} has version {}, this Hearth reads version {}", origin,
          version.dump(), kVersion);
  TierDescription description{
      .name = text_field(json, "name", origin), .source = text_field(json, "source", origin), .speed = {}};
  require(is_name(description.name), ErrorKind::kCorrupt, "{}: \"name\" must be 1 to {} of a-z, 0-9, '_', '-' and '.'",
          origin, kMaxName);
  require(description.source.size() <= kMaxSource && is_plain_text(description.source), ErrorKind::kCorrupt,
          "{}: \"source\" must be plain text of at most {} bytes", origin, kMaxSource);
  description.speed = speed_from_json(json, origin);
  return description;
}

std::string to_text(const TierDescription& description) {
  Json json = to_json(description.speed);
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["name"] = description.name;
  json["source"] = description.source;
  return json.dump(1) + "\n";
}

}  // namespace hearth::memory
