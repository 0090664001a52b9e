#include <fmt/format.h>

#include <algorithm>

#include "cli/report/page.h"

namespace hearth::cli {
namespace {

constexpr double kGiga = 1e9;

std::string share(double part, double whole) { return fmt::format("{:5.1f} %", whole > 0 ? 100 * part / whole : 0.0); }

std::string bytes_or_nothing(double bytes) { return bytes > 0 ? format_bytes(bytes) : "-"; }

std::string rate_or_nothing(double rate) { return rate > 0 ? fmt::format("{:.2f} GB/s", rate / kGiga) : "-"; }

/// A table of totals: time, its share of all, bytes moved and from tiers, and what it is about.
std::string table(const std::string& title, const std::vector<Total>& totals, double whole) {
  if (totals.empty()) return "";
  std::string out = fmt::format("\n{}\n  {:>10}  {:>7}  {:>6}  {:>10}  {:>11}  {:>10}\n", title, "time", "share",
                                "times", "moved", "rate", "from tiers");
  for (const Total& t : totals) {
    out += fmt::format("  {:>10}  {}  {:>6}  {:>10}  {:>11}  {:>10}  {:<12} {}\n", format_seconds(t.seconds),
                       share(t.seconds, whole), t.count, bytes_or_nothing(t.bytes), rate_or_nothing(t.rate()),
                       bytes_or_nothing(t.tier_bytes), printable(t.detail), printable(t.name));
  }
  return out;
}

std::string occupancy_table(const Occupancy& resident) {
  if (resident.classes.empty()) return "";
  std::string out = "\nMemory by class\n  " + fmt::format("{:>10}", "at");
  for (const std::string& name : resident.classes) out += fmt::format("  {:>12}", printable(name));
  out += "\n";
  for (std::size_t m = 0; m < resident.times.size(); ++m) {
    out += fmt::format("  {:>10}", format_seconds(resident.times[m]));
    for (const auto& values : resident.values) out += fmt::format("  {:>12}", format_bytes(values[m]));
    out += "\n";
  }
  out += fmt::format("  {:>10}", "most");
  for (const double peak : resident.peaks) out += fmt::format("  {:>12}", format_bytes(peak));
  return out + fmt::format("  (together {})\n", format_bytes(resident.peak));
}

Json to_json(const std::vector<Total>& totals) {
  Json out = Json::array();
  for (const Total& t : totals) {
    out.push_back({{"name", t.name},
                   {"detail", t.detail},
                   {"count", t.count},
                   {"seconds", t.seconds},
                   {"bytes", t.bytes},
                   {"tier_bytes", t.tier_bytes},
                   {"bytes_per_second", t.rate()}});
  }
  return out;
}

}  // namespace

std::string to_text(const TraceSummary& s) {
  double compute = 0;
  for (const Total& operation : s.operations) compute += operation.seconds;
  return format_rows({{"recorded", format_seconds(s.seconds)},
                      {"compute", fmt::format("{},{}", format_seconds(compute), share(compute, s.seconds))}}) +
         table("Layers", s.layers, s.seconds) + table("Operations", s.operations, s.seconds) +
         table("Traffic by tier", s.traffic, s.seconds) + table("Waits", s.waits, s.seconds) +
         occupancy_table(s.resident);
}

Json to_json(const TraceSummary& s) {
  return {{"seconds", s.seconds},
          {"layers", to_json(s.layers)},
          {"operations", to_json(s.operations)},
          {"traffic", to_json(s.traffic)},
          {"waits", to_json(s.waits)},
          {"resident",
           {{"classes", s.resident.classes},
            {"times", s.resident.times},
            {"values", s.resident.values},
            {"peaks", s.resident.peaks},
            {"peak", s.resident.peak}}}};
}

}  // namespace hearth::cli
