#include "compiler/program/grid_layout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/program/layer_matrix.h"
#include "tests/base/expect_error.h"

namespace hearth::compiler {
namespace {

/// 5 channels of 13 x 6 on a grid of 4 rows and 8 columns: rows of the image share grid rows by fours.
GridLayout image() { return {256, 4, 8, 4, {5, 13, 6}, false, grid_entries(5, 4, 8)}; }

TEST(GridLayout, PutsElementsWhereItsCommentSays) {
  const GridLayout grid = image();
  check(grid);
  const Layout table = as_table(grid);
  EXPECT_EQ(table.ciphertexts, 3);  // 20 entries, 8 a ciphertext
  EXPECT_EQ(table.period, 256);
  EXPECT_TRUE(injective(table));
  for (int ch = 0; ch < 5; ++ch) {
    for (int y = 0; y < 13; ++y) {
      for (int x = 0; x < 6; ++x) {
        const Place& p = table.places[static_cast<std::size_t>((ch * 13 + y) * 6 + x)];
        const int entry = y % 4 * 5 + ch;
        EXPECT_EQ(p.ciphertext, entry / 8);
        EXPECT_EQ(p.slot, y / 4 * 64 + x * 8 + entry % 8);
      }
    }
  }
}

TEST(GridLayout, AVectorIsHeldByEveryGridPoint) {
  const GridLayout grid{256, 4, 8, 1, {11, 1, 1}, true, grid_entries(11, 1, 8)};
  check(grid);
  const Layout table = as_table(grid);
  EXPECT_EQ(table.period, 8);
  EXPECT_EQ(table.places[9].ciphertext, 1);
  EXPECT_EQ(table.places[9].slot, 1);
}

TEST(GridLayout, ConstantsHaveTheBiasAtElementsAndTheMarginElsewhere) {
  const GridLayout grid = image();
  const Layout table = as_table(grid);
  const std::vector<float> bias = {1, 2, 3, 4, 5};
  for (int k = 0; k < grid.ciphertexts(); ++k) {
    const std::vector<double> got = grid_constant(grid, k, bias, -9);
    std::vector<double> want(256, -9);
    for (std::size_t e = 0; e < table.places.size(); ++e) {
      if (table.places[e].ciphertext == k) want[static_cast<std::size_t>(table.places[e].slot)] = bias[e / 78];
    }
    EXPECT_EQ(got, want);
  }
  const std::vector<double> zeros = grid_constant(grid, 0, {}, 0);
  EXPECT_EQ(std::ranges::count(zeros, 0.0), 256);
}

TEST(GridLayout, ImpossibleOnesAreRefused) {
  const auto refused = [](auto change) {
    GridLayout grid = image();
    change(grid);
    expect_error(ErrorKind::kCorrupt, "grid layout", [&] { check(grid); });
  };
  refused([](GridLayout& g) { g.slots = 200; });
  refused([](GridLayout& g) { g.pitch = 128; });
  refused([](GridLayout& g) { g.rows = 3; });
  refused([](GridLayout& g) { g.phases = 0; });
  refused([](GridLayout& g) { g.shape[1] = 17; });
  refused([](GridLayout& g) { g.shape[2] = 9; });
  refused([](GridLayout& g) { g.entries.pop_back(); });
  refused([](GridLayout& g) { g.entries[0] = g.entries[1]; });
  refused([](GridLayout& g) { g.entries[0] = {5, 0}; });
  refused([](GridLayout& g) { g.entries[0] = {}; });
  refused([](GridLayout& g) { g.entries.resize(g.entries.size() + 64 * 8); });
}

}  // namespace
}  // namespace hearth::compiler
