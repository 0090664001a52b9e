#include "compiler/program/layer_bytes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "compiler/program/program_bytes.h"

namespace hearth::compiler {
namespace {

using LayoutPtr = std::shared_ptr<const Layout>;

constexpr int kMaxInt = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kMaxLayouts = std::size_t{1} << 20;
constexpr std::size_t kMaxDiagonals = 0xffffffff;  // the bytes left are the only bound

/// Elements that sit `step` slots apart in one ciphertext; none has a place where `first` has none.
struct Run {
  std::uint32_t count = 0;
  Place first;
  std::int32_t step = 0;
};

std::vector<Run> runs_of(const Layout& layout) {
  std::vector<Run> runs;
  for (const Place& place : layout.places) {
    const Place p = place.ciphertext < 0 ? Place{} : place;
    if (!runs.empty() && runs.back().first.ciphertext == p.ciphertext) {
      Run& run = runs.back();
      const std::int64_t last = run.first.slot + std::int64_t{run.count - 1} * run.step;
      if (run.count == 1) run.step = static_cast<std::int32_t>(p.slot - last);
      if (p.slot - last == run.step) {
        ++run.count;
        continue;
      }
    }
    runs.push_back({1, p, 0});
  }
  return runs;
}

Layout read_layout(ByteReader& in, int slots, std::size_t& elements_left) {
  Layout layout;
  layout.ciphertexts = in.i32_in(1, kMaxTensorCiphertexts, "ciphertexts of a layout");
  layout.period = in.i32_in(1, slots, "period");
  require(std::has_single_bit(static_cast<unsigned>(layout.period)), ErrorKind::kCorrupt,
          "{} has a layout of period {}, not a power of two", in.what(), layout.period);
  const std::size_t runs = in.read_count(elements_left, "runs of a layout", 16);
  for (std::size_t r = 0; r < runs; ++r) {
    const std::uint32_t count = in.u32_in(1, static_cast<std::uint32_t>(elements_left), "elements of a run");
    elements_left -= count;
    Place place;
    place.ciphertext = in.i32_in(-1, layout.ciphertexts - 1, "ciphertext of a run");
    place.slot = in.i32_in(0, layout.period - 1, "slot of a run");
    const std::int32_t step = in.i32_in(-slots, slots, "step of a run");
    const std::int64_t last = place.slot + std::int64_t{count - 1} * step;
    require(last >= 0 && last < layout.period, ErrorKind::kCorrupt, "{} has a run that leaves its ciphertext",
            in.what());
    for (std::uint32_t i = 0; i < count; ++i, place.slot += step) layout.places.push_back(place);
  }
  return layout;
}

template <typename Pointer>
std::uint32_t index_of(const Pointer& layout, const std::vector<Pointer>& layouts) {
  const auto found = std::ranges::find_if(layouts, [&](const Pointer& l) { return l == layout || *l == *layout; });
  require(found != layouts.end(), ErrorKind::kInternal, "a layout was not collected before it was written");
  return static_cast<std::uint32_t>(found - layouts.begin());
}

template <typename Visit>
void for_each_field(Convolution& layer, const Visit& visit) {
  for (int& v : layer.in) visit(v);
  for (int& v : layer.out) visit(v);
  visit(layer.groups);
  for (auto* pair : {&layer.kernel, &layer.strides, &layer.dilations, &layer.pads}) {
    for (int& v : *pair) visit(v);
  }
}

std::size_t weight_count(ByteReader& in, const Convolution& layer) {
  std::int64_t count = 1;
  for (const int factor : {layer.out[0], layer.in[0] / std::max(layer.groups, 1), layer.kernel[0], layer.kernel[1]}) {
    require(factor >= 1 && factor <= kMaxInt / count, ErrorKind::kCorrupt, "{} has a layer with too many weights",
            in.what());
    count *= factor;
  }
  return static_cast<std::size_t>(count);
}

/// One of `layouts`, by its number.
template <typename Pointer>
Pointer read_reference(ByteReader& in, const std::vector<Pointer>& layouts) {
  require(!layouts.empty(), ErrorKind::kCorrupt, "{} has a layer but no layouts", in.what());
  return layouts[in.u32_in(0, static_cast<std::uint32_t>(layouts.size()) - 1, "layout of a layer")];
}

Convolution read_fields(ByteReader& in) {
  Convolution layer;
  for_each_field(layer, [&](int& v) { v = in.i32(); });
  return layer;
}

void read_weights(ByteReader& in, ByteReader& weights, Convolution& layer) {
  layer.weights = weights.read_vector<float>(weight_count(in, layer));
  require(std::ranges::all_of(layer.weights, [](float w) { return std::isfinite(w); }), ErrorKind::kCorrupt,
          "{} holds a number that is not finite before offset {}", weights.what(), weights.offset());
}

/// Entries of one phase whose channels are consecutive, or that hold nothing (channel -1).
struct EntryRun {
  std::uint32_t count = 0;
  GridEntry first;
};

std::vector<EntryRun> runs_of(const std::vector<GridEntry>& entries) {
  std::vector<EntryRun> runs;
  for (const GridEntry& e : entries) {
    if (!runs.empty()) {
      EntryRun& run = runs.back();
      const bool nothing = e.channel < 0 && run.first.channel < 0;
      const bool next = e.channel >= 0 && run.first.channel >= 0 && e.phase == run.first.phase &&
                        std::int64_t{e.channel} == run.first.channel + std::int64_t{run.count};
      if (nothing || next) {
        ++run.count;
        continue;
      }
    }
    runs.push_back({1, e});
  }
  return runs;
}

GridLayout read_grid(ByteReader& in, int slots, std::size_t& entries_left) {
  GridLayout grid;
  grid.slots = slots;
  grid.rows = in.i32_in(1, slots, "rows of a grid");
  grid.pitch = in.i32_in(1, slots, "pitch of a grid");
  grid.phases = in.i32_in(1, kMaxInt, "phases of a grid");
  for (int& extent : grid.shape) extent = in.i32_in(1, kMaxInt, "extent of an image");
  grid.repeated = in.boolean();
  const std::size_t runs = in.read_count(entries_left, "runs of entries", 12);
  for (std::size_t r = 0; r < runs; ++r) {
    const std::uint32_t count = in.u32_in(1, static_cast<std::uint32_t>(entries_left), "entries of a run");
    entries_left -= count;
    GridEntry entry;
    entry.channel = in.i32_in(-1, grid.shape[0] - 1, "channel of an entry");
    entry.phase = in.i32_in(0, grid.phases - 1, "phase of an entry");
    for (std::uint32_t i = 0; i < count; ++i) {
      grid.entries.push_back(entry);
      if (entry.channel >= 0) ++entry.channel;
    }
  }
  check(grid);
  return grid;
}

}  // namespace

void write_layouts(ByteWriter& out, const std::vector<LayoutPtr>& layouts) {
  out.u32(static_cast<std::uint32_t>(layouts.size()));
  for (const LayoutPtr& layout : layouts) {
    const std::vector<Run> runs = runs_of(*layout);
    out.i32(layout->ciphertexts);
    out.i32(layout->period);
    out.u32(static_cast<std::uint32_t>(runs.size()));
    for (const Run& run : runs) {
      out.u32(run.count);
      out.i32(run.first.ciphertext);
      out.i32(run.first.slot);
      out.i32(run.step);
    }
  }
}

std::vector<LayoutPtr> read_layouts(ByteReader& in, int slots) {
  std::size_t elements_left = kMaxLayoutElements;
  std::vector<LayoutPtr> layouts(in.read_count(kMaxLayouts, "layouts", 28));
  for (LayoutPtr& layout : layouts) layout = std::make_shared<Layout>(read_layout(in, slots, elements_left));
  return layouts;
}

void write_layer(ByteWriter& out, ByteWriter& weights, const LayerMatrix& matrix,
                 const std::vector<LayoutPtr>& layouts) {
  Convolution layer = matrix.layer();
  for_each_field(layer, [&](int v) { out.i32(v); });
  out.u32(index_of(matrix.in(), layouts));
  out.u32(index_of(matrix.out(), layouts));
  weights.span(layer.weights);
  const auto& diagonals = matrix.shape().diagonals;
  require(diagonals.size() <= kMaxDiagonals, ErrorKind::kResource, "{} diagonals do not fit a bundle",
          diagonals.size());
  out.u32(static_cast<std::uint32_t>(diagonals.size()));
  for (const ckks::DiagonalPlace& d : diagonals) {
    out.i32(d.output);
    out.i32(d.input);
    out.i32(d.rotation);
    out.u32(static_cast<std::uint32_t>(d.period));
  }
}

std::shared_ptr<const LayerMatrix> read_layer(ByteReader& in, ByteReader& weights,
                                              const std::vector<LayoutPtr>& layouts, int slots) {
  Convolution layer = read_fields(in);
  const LayoutPtr from = read_reference(in, layouts), to = read_reference(in, layouts);
  read_weights(in, weights, layer);
  std::vector<ckks::DiagonalPlace> diagonals(in.read_count(kMaxDiagonals, "diagonals of a layer", 16));
  for (ckks::DiagonalPlace& d : diagonals) {
    d.output = in.i32_in(0, to->ciphertexts - 1, "output of a diagonal");
    d.input = in.i32_in(0, from->ciphertexts - 1, "input of a diagonal");
    d.rotation = in.i32_in(0, slots - 1, "rotation of a diagonal");
    d.period = in.u32_in(1, static_cast<std::uint32_t>(slots), "period");
  }
  return std::make_shared<LayerMatrix>(std::move(layer), from, to, std::move(diagonals));
}

void write_grids(ByteWriter& out, const std::vector<GridLayoutPtr>& grids) {
  out.u32(static_cast<std::uint32_t>(grids.size()));
  for (const GridLayoutPtr& grid : grids) {
    out.i32(grid->rows);
    out.i32(grid->pitch);
    out.i32(grid->phases);
    for (const int extent : grid->shape) out.i32(extent);
    out.boolean(grid->repeated);
    const std::vector<EntryRun> runs = runs_of(grid->entries);
    out.u32(static_cast<std::uint32_t>(runs.size()));
    for (const EntryRun& run : runs) {
      out.u32(run.count);
      out.i32(run.first.channel);
      out.i32(run.first.phase);
    }
  }
}

std::vector<GridLayoutPtr> read_grids(ByteReader& in, int slots) {
  std::size_t entries_left = kMaxLayoutElements;
  std::vector<GridLayoutPtr> grids(in.read_count(kMaxLayouts, "grids", 29));
  for (GridLayoutPtr& grid : grids) grid = std::make_shared<GridLayout>(read_grid(in, slots, entries_left));
  return grids;
}

void write_layer(ByteWriter& out, ByteWriter& weights, const GridMatrix& matrix,
                 const std::vector<GridLayoutPtr>& grids) {
  Convolution layer = *matrix.layer();
  for_each_field(layer, [&](int v) { out.i32(v); });
  out.u32(index_of(matrix.in(), grids));
  out.u32(index_of(matrix.out(), grids));
  out.boolean(matrix.pooled());
  weights.span(layer.weights);
}

std::shared_ptr<const GridMatrix> read_grid_layer(ByteReader& in, ByteReader& weights,
                                                  const std::vector<GridLayoutPtr>& grids) {
  auto layer = std::make_shared<Convolution>(read_fields(in));
  const GridLayoutPtr from = read_reference(in, grids), to = read_reference(in, grids);
  const bool pooled = in.boolean();
  read_weights(in, weights, *layer);
  return std::make_shared<GridMatrix>(std::move(layer), from, to, pooled);
}

}  // namespace hearth::compiler
