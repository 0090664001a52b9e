#include "compiler/program/grid_layout.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace hearth::compiler {
namespace {

constexpr int kMaxExtent = 1 << 16;

void want(bool condition, const char* what) {
  require(condition, ErrorKind::kCorrupt, "a grid layout is impossible: {}", what);
}

bool power_of_two(int v) { return v >= 1 && std::has_single_bit(static_cast<unsigned>(v)); }

bool fits(const GridLayout& l) {
  if (l.repeated) return l.shape[1] == 1 && l.shape[2] == 1 && l.phases == 1;
  return l.shape[1] <= std::int64_t{l.rows} * l.phases && l.shape[2] <= l.columns();
}

}  // namespace

std::vector<GridEntry> grid_entries(int channels, int phases, int pitch) {
  std::vector<GridEntry> entries;
  for (int p = 0; p < phases; ++p) {
    for (int ch = 0; ch < channels; ++ch) entries.push_back({ch, p});
  }
  while (entries.size() % static_cast<std::size_t>(pitch) != 0) entries.emplace_back();
  return entries;
}

std::vector<std::int32_t> entry_numbers(const GridLayout& l) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(l.shape[0]) * static_cast<std::size_t>(l.phases));
  for (std::int32_t j = 0; const GridEntry& e : l.entries) {
    if (e.channel >= 0) out[static_cast<std::size_t>(e.phase * l.shape[0] + e.channel)] = j;
    ++j;
  }
  return out;
}

void check(const GridLayout& l) {
  want(power_of_two(l.slots) && power_of_two(l.rows) && power_of_two(l.pitch) &&
           std::int64_t{l.rows} * l.pitch <= l.slots,
       "slots, rows and pitch must be powers of two that fit each other");
  for (const int extent : l.shape) want(extent >= 1 && extent <= kMaxExtent, "its image has no or too many elements");
  want(l.phases >= 1 && l.phases <= kMaxExtent && fits(l), "its image does not fit the grid");
  const auto pitch = static_cast<std::size_t>(l.pitch);
  const std::size_t wanted = static_cast<std::size_t>(l.shape[0]) * static_cast<std::size_t>(l.phases);
  want(l.entries.size() % pitch == 0 && l.entries.size() >= wanted && l.entries.size() < wanted + 64 * pitch,
       "it has too few or too many entries");
  std::vector<bool> seen(wanted, false);
  for (const GridEntry& e : l.entries) {
    if (e.channel == -1) continue;
    want(e.channel >= 0 && e.channel < l.shape[0] && e.phase >= 0 && e.phase < l.phases, "an entry is out of range");
    const auto at =
        static_cast<std::size_t>(e.phase) * static_cast<std::size_t>(l.shape[0]) + static_cast<std::size_t>(e.channel);
    want(!seen[at], "two entries are the same");
    seen[at] = true;
  }
  want(std::ranges::count(seen, false) == 0, "an entry is missing");
}

Layout as_table(const GridLayout& l) {
  const auto [channels, height, width] = l.shape;
  const std::vector<std::int32_t> entry_of = entry_numbers(l);
  Layout out{{}, l.ciphertexts(), l.period()};
  out.places.reserve(static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) *
                     static_cast<std::size_t>(width));
  for (int ch = 0; ch < channels; ++ch) {
    for (int y = 0; y < height; ++y) {
      const std::int32_t j = entry_of[static_cast<std::size_t>(y % l.phases * channels + ch)];
      const int row = y / l.phases * l.row_slots() + j % l.pitch;
      for (int x = 0; x < width; ++x) out.places.push_back({j / l.pitch, row + x * l.pitch});
    }
  }
  return out;
}

std::vector<double> grid_constant(const GridLayout& l, int ciphertext, const std::vector<float>& bias, double margin) {
  std::vector<double> out(static_cast<std::size_t>(l.period()), margin);
  for (int e = 0; e < l.pitch; ++e) {
    const GridEntry& entry = l.entries[static_cast<std::size_t>(ciphertext * l.pitch + e)];
    if (entry.channel < 0) continue;
    const double value = bias.empty() ? 0 : static_cast<double>(bias[static_cast<std::size_t>(entry.channel)]);
    for (int y = entry.phase, row = 0; y < l.shape[1]; y += l.phases, ++row) {
      for (int x = 0; x < l.shape[2]; ++x) {
        out[static_cast<std::size_t>(row * l.row_slots() + x * l.pitch + e)] = value;
      }
    }
  }
  return out;
}

}  // namespace hearth::compiler
