#include "cli/serve/residency.h"

#include <fmt/format.h>

namespace hearth::cli {
namespace {

using memory::ObjectClass;

std::string mib(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

double slowdown(const runtime::MemoryForecast& f) {
  return f.figures.compute_seconds > 0 ? f.seconds() / f.figures.compute_seconds : 1;
}

std::string traffic_text(const runtime::MemoryForecast& f) {
  if (f.tier.empty()) return "none: everything stays in DRAM";
  return fmt::format(
      "{}: {} read ({} of that first loads), {} written; at least {} would be read with so much memory{}", f.tier,
      mib(f.figures.read_bytes), mib(f.figures.first_read_bytes), mib(f.figures.written_bytes),
      mib(f.figures.bound_bytes + f.figures.first_read_bytes), f.recipe_bytes == 0 ? "" : " were nothing made anew");
}

Json by_class(const std::array<std::uint64_t, memory::kObjectClasses>& bytes) {
  Json out;
  for (std::size_t i = 0; i < bytes.size(); ++i) out[memory::to_string(static_cast<ObjectClass>(i))] = bytes[i];
  return out;
}

}  // namespace

std::string forecast_text(const runtime::MemoryForecast& f) {
  std::string set;
  for (std::size_t i = 0; i < f.working_set.size(); ++i) {
    if (f.working_set[i] == 0) continue;
    set += fmt::format("{}{} {}", set.empty() ? "" : ", ", mib(f.working_set[i]),
                       memory::to_string(static_cast<ObjectClass>(i)));
  }
  return format_rows(
      {{"working set", set},
       {"memory",
        fmt::format("{}, at least {}: {} process, {} tables, {} ciphertexts at work{}, {} keys and plaintexts{}",
                    mib(f.limit), mib(f.smallest), mib(f.process_bytes), mib(f.fixed_bytes), mib(f.working_bytes),
                    f.lent_bytes == 0 ? "" : " (or " + mib(f.lent_bytes) + " of it keys and plaintexts)",
                    mib(f.store_bytes),
                    f.recipe_bytes == 0 ? "" : ", " + mib(f.recipe_bytes) + " for making plaintexts anew")},
       {"traffic", traffic_text(f)},
       {"slow-down",
        fmt::format(
            "{:.3f}x predicted: {} computing, {} moving data, {}{} waiting for them (planned in {})", slowdown(f),
            format_seconds(f.figures.compute_seconds), format_seconds(f.moving_seconds),
            f.recipe_bytes == 0 ? "" : format_seconds(f.figures.recompute_seconds) + " making plaintexts anew, ",
            format_seconds(f.figures.wait_seconds), format_seconds(f.planning_seconds))}});
}

std::string residency_text(const runtime::Residency& residency) {
  const memory::StoreFigures s = residency.figures();
  return format_rows({{"moved", fmt::format("{} read in {} fetches, {} of them not as planned; {} written{}",
                                            mib(s.read_bytes), s.fetches, s.unplanned, mib(s.written_bytes),
                                            s.made == 0 ? "" : fmt::format("; {} objects made anew", s.made))},
                      {"waited", fmt::format("{} in {} waits, {} of it for first loads", format_seconds(s.wait_seconds),
                                             s.waits, format_seconds(s.first_wait_seconds))}});
}

Json to_json(const runtime::Residency& residency) {
  const runtime::MemoryForecast& f = residency.forecast();
  const memory::PlanFigures& p = f.figures;
  const memory::StoreFigures s = residency.figures();
  return {{"limit", f.limit},
          {"smallest", f.smallest},
          {"process_bytes", f.process_bytes},
          {"table_bytes", f.fixed_bytes},
          {"working_bytes", f.working_bytes},
          {"store_bytes", f.store_bytes},
          {"lent_bytes", f.lent_bytes},
          {"recipe_bytes", f.recipe_bytes},
          {"working_set", by_class(f.working_set)},
          {"tier", f.tier},
          {"emulated", f.emulated},
          {"planning_seconds", f.planning_seconds},
          {"planned",
           {{"read_bytes", p.read_bytes},
            {"first_read_bytes", p.first_read_bytes},
            {"bound_bytes", p.bound_bytes},
            {"written_bytes", p.written_bytes},
            {"compute_seconds", p.compute_seconds},
            {"wait_seconds", p.wait_seconds},
            {"recompute_seconds", p.recompute_seconds},
            {"moving_seconds", f.moving_seconds},
            {"seconds", f.seconds()},
            {"peak_bytes", p.peak_bytes}}},
          {"measured",
           {{"read_bytes", s.read_bytes},
            {"written_bytes", s.written_bytes},
            {"fetches", s.fetches},
            {"unplanned", s.unplanned},
            {"cleared", s.cleared},
            {"loans", s.loans},
            {"made", s.made},
            {"retries", s.retries},
            {"waits", s.waits},
            {"wait_seconds", s.wait_seconds},
            {"first_wait_seconds", s.first_wait_seconds},
            {"peak_bytes", s.peak_total},
            {"peak_by_class", by_class(s.peak_bytes)}}}};
}

}  // namespace hearth::cli
