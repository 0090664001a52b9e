#include "cli/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace hearth::cli {
namespace {

constexpr double kWidth = 900, kHeight = 320, kLeft = 90, kBottom = 40;
constexpr std::array kColours{"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"};

const char* colour(std::size_t i) { return kColours[i % kColours.size()]; }

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// Of text whose names are printable already.
std::string escaped_lines(const std::string& text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out += escaped(text.substr(begin, end - begin)) + "\n";
    begin = end + 1;
  }
  return out;
}

std::string label(double x, double y, const std::string& anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, escaped(text));
}

std::string picture(double height, const std::string& body) {
  return fmt::format("<svg viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" role=\"img\">\n{}</svg>\n", kWidth, height,
                     kWidth, height, body);
}

std::string section(const std::string& title, const std::string& body) {
  return body.empty() ? "" : "<h2>" + title + "</h2>\n" + body;
}

/// One bar each, the longest ones.
std::string bars(std::vector<Total> totals) {
  constexpr std::size_t kMost = 40;
  constexpr double kRow = 18, kNames = 320;
  std::ranges::stable_sort(totals, std::greater<>(), &Total::seconds);
  if (totals.size() > kMost) totals.resize(kMost);
  if (totals.empty() || totals.front().seconds <= 0) return "";
  std::string out;
  double y = 0;
  for (const Total& t : totals) {
    const double width = (kWidth - kNames - kLeft) * t.seconds / totals.front().seconds;
    out += label(kNames - 8, y + 13, "end", t.detail.empty() ? t.name : t.name + " (" + t.detail + ")");
    out += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>\n", kNames, y + 2, width,
                       kRow - 4, colour(0));
    out += label(kNames + width + 6, y + 13, "start", format_seconds(t.seconds));
    y += kRow;
  }
  return picture(y + 4, out);
}

/// Classes on top of each other over time.
std::string area(const Occupancy& resident) {
  if (resident.classes.empty() || resident.peak <= 0) return "";
  std::vector<double> base(resident.times.size(), 0);
  double top = 0;
  for (std::size_t m = 0; m < base.size(); ++m) {
    double sum = 0;
    for (const auto& values : resident.values) sum += values[m];
    top = std::max(top, sum);
  }
  const auto x = [&](std::size_t m) {
    return kLeft + (kWidth - kLeft - 20) * static_cast<double>(m) / std::max(1.0, static_cast<double>(base.size() - 1));
  };
  const auto y = [&](double bytes) { return kHeight - kBottom - (kHeight - kBottom - 40) * bytes / top; };
  std::string out;
  for (std::size_t c = 0; c < resident.classes.size(); ++c) {
    std::string points, back;
    for (std::size_t m = 0; m < base.size(); ++m) {
      back.insert(0, fmt::format("{:.1f},{:.1f} ", x(m), y(base[m])));
      base[m] += resident.values[c][m];
      points += fmt::format("{:.1f},{:.1f} ", x(m), y(base[m]));
    }
    out += fmt::format("<polygon points=\"{}{}\" fill=\"{}\"/>\n", points, back, colour(c));
    const double place = kLeft + 160 * static_cast<double>(c);
    out += fmt::format("<rect x=\"{}\" y=\"6\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", place, colour(c));
    out += label(place + 16, 17, "start", resident.classes[c]);
  }
  out += label(kLeft - 8, y(top) + 4, "end", format_bytes(top)) + label(kLeft - 8, y(0) + 4, "end", "0");
  out += label(kLeft, kHeight - 12, "start", "0 s") +
         label(kWidth - 20, kHeight - 12, "end", format_seconds(resident.times.back()));
  return picture(kHeight, out);
}

/// Decades around values.
struct LogScale {
  double low = 0, high = 1;  // log10
  explicit LogScale(std::span<const double> values) {
    const auto [least, most] = std::ranges::minmax(values);
    low = std::floor(std::log10(least));
    high = std::max(low + 1, std::ceil(std::log10(most)));
  }
  double operator()(double value) const { return (std::log10(value) - low) / (high - low); }
};

/// Seconds over bytes of every layer; the line is the highest rate that any reached.
std::string roofline(const std::vector<Total>& layers) {
  std::vector<Total> known;
  std::ranges::copy_if(layers, std::back_inserter(known), [](const Total& t) { return t.bytes > 0 && t.seconds > 0; });
  if (known.empty()) return "";
  std::vector<double> bytes, seconds;
  double best = 0;
  for (const Total& t : known) {
    bytes.push_back(t.bytes);
    seconds.push_back(t.seconds);
    best = std::max(best, t.rate());
  }
  const LogScale across(bytes), up(seconds);
  const auto x = [&](double b) { return kLeft + (kWidth - kLeft - 20) * across(b); };
  const auto y = [&](double s) { return kHeight - kBottom - (kHeight - kBottom - 20) * up(s); };
  const auto [least, most] = std::ranges::minmax(bytes);
  std::string out = fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#999\"/>\n",
                                x(least), y(least / best), x(most), y(most / best));
  for (const Total& t : known) {
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"><title>{}</title></circle>\n",
                       x(t.bytes), y(t.seconds), colour(0),
                       escaped(fmt::format("{} ({}): {}, {}, {:.2f} GB/s", t.name, t.detail, format_seconds(t.seconds),
                                           format_bytes(t.bytes), t.rate() / 1e9)));
  }
  out += label(kLeft, kHeight - 12, "start", format_bytes(std::pow(10, across.low))) +
         label(kWidth - 20, kHeight - 12, "end", format_bytes(std::pow(10, across.high)) + " moved");
  out += label(kLeft - 8, y(std::pow(10, up.low)), "end", format_seconds(std::pow(10, up.low))) +
         label(kLeft - 8, y(std::pow(10, up.high)) + 10, "end", format_seconds(std::pow(10, up.high)));
  return picture(kHeight, out) + fmt::format(
                                     "<p>The line is {:.2f} GB/s, the most that any layer reached: layers "
                                     "far above it spend their time on arithmetic or waiting.</p>\n",
                                     best / 1e9);
}

}  // namespace

std::string to_html(const TraceSummary& s, const std::string& title) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + escaped(title) +
         "</title>\n<style>body{font:14px sans-serif;margin:2em;max-width:1000px}svg text{font-size:12px}"
         "pre{overflow-x:auto}</style></head><body>\n<h1>" +
         escaped(title) + "</h1>\n" + section("Memory by class over time", area(s.resident)) +
         section("Time by operation", bars(s.operations)) + section("Time by layer", bars(s.layers)) +
         section("Waits", bars(s.waits)) + section("Time and bytes moved, by layer", roofline(s.layers)) +
         section("Tables", "<pre>" + escaped_lines(to_text(s)) + "</pre>\n") + "</body></html>\n";
}

}  // namespace hearth::cli
