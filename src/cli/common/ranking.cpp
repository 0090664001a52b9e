#include "cli/common/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace hearth::cli {
namespace {

/// NaN compares with nothing.
float comparable(float value) { return std::isnan(value) ? -std::numeric_limits<float>::infinity() : value; }

}  // namespace

CLI::Option* add_top_option(CLI::App& app, int& count) {
  return app.add_option("--top", count, "How many of the likeliest classes to print")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->type_name("K");
}

std::vector<RankedClass> rank(std::span<const float> outputs, std::span<const std::string> names, std::size_t count) {
  std::vector<std::size_t> order(outputs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return comparable(outputs[i]); });
  if (order.empty()) return {};
  const double largest = comparable(outputs[order.front()]);  // taken off, so that no exponential overflows
  double sum = 0;
  for (const float value : outputs) sum += std::exp(comparable(value) - largest);
  std::vector<RankedClass> out;
  for (const std::size_t i : std::span(order).first(std::min(count, order.size()))) {
    out.push_back({.index = i,
                   .output = outputs[i],
                   .probability = std::exp(comparable(outputs[i]) - largest) / sum,
                   .name = names.empty() ? std::string() : names[i]});
  }
  return out;
}

std::string format_ranking(const std::vector<RankedClass>& ranking) {
  std::string text;
  for (const RankedClass& entry : ranking) {
    text += fmt::format("  {:>8.2f} %  {:>12.4f}  class {}{}{}\n", 100 * entry.probability, entry.output, entry.index,
                        entry.name.empty() ? "" : ": ", entry.name);
  }
  return text;
}

Json to_json(const std::vector<RankedClass>& ranking) {
  Json out = Json::array();
  for (const RankedClass& entry : ranking) {
    out.push_back({{"class", entry.index}, {"output", entry.output}, {"probability", entry.probability}});
    if (!entry.name.empty()) out.back()["name"] = entry.name;
  }
  return out;
}

}  // namespace hearth::cli
