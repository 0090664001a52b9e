#include "compiler/program/layer_matrix.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "base/error.h"

namespace hearth::compiler {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;  // of a tensor, or of the weights
constexpr int kMaxStep = 1 << 15;                             // strides, dilations, kernels and pads
constexpr std::int64_t kMaxReach = std::int64_t{1} << 30;     // of a tap

/// A part of an index that stands for a zero: however many are added to other parts, the sum is negative.
constexpr std::int32_t kNoWeight = -(1 << 29);

bool between(std::int64_t value, std::int64_t low, std::int64_t high) { return value >= low && value <= high; }

void want(bool condition, const char* what) {
  require(condition, ErrorKind::kCorrupt, "a convolution is impossible: {}", what);
}

std::int64_t checked_elements(const std::array<int, 3>& shape) {
  std::int64_t count = 1;
  for (const int extent : shape) {
    want(between(extent, 1, kMaxElements / count), "its image has no or too many elements");
    count *= extent;
  }
  return count;
}

void check_places(const Layout& layout, std::int64_t elements, const char* what) {
  require(static_cast<std::int64_t>(layout.places.size()) == elements, ErrorKind::kCorrupt,
          "the {} of a layer has {} elements, its layout {}", what, elements, layout.places.size());
  require(layout.ciphertexts >= 1 && layout.period >= 1 && std::has_single_bit(static_cast<unsigned>(layout.period)),
          ErrorKind::kCorrupt, "a layout has {} ciphertexts and period {}", layout.ciphertexts, layout.period);
  for (const Place& p : layout.places) {
    require(p.ciphertext >= -1 && p.ciphertext < layout.ciphertexts && p.slot >= 0 && p.slot < layout.period,
            ErrorKind::kCorrupt, "a layout has an element at slot {} of ciphertext {}", p.slot, p.ciphertext);
  }
}

std::size_t slot_count(const Layout& layout) {
  return static_cast<std::size_t>(layout.ciphertexts) * static_cast<std::size_t>(layout.period);
}

std::size_t index_of(const Place& place, const Layout& layout) {
  return static_cast<std::size_t>(place.ciphertext) * static_cast<std::size_t>(layout.period) +
         static_cast<std::size_t>(place.slot);
}

/// Offsets into the weights of steps along one axis: tap t * dilation is at t * pitch, the others have no weight, nor
/// has the last entry, where all that lies outside is sent.
std::vector<std::int32_t> taps(int kernel, int dilation, int pitch) {
  std::vector<std::int32_t> out((static_cast<std::size_t>(kernel) - 1) * static_cast<std::size_t>(dilation) + 2,
                                kNoWeight);
  for (int t = 0; t < kernel; ++t) out[static_cast<std::size_t>(t) * static_cast<std::size_t>(dilation)] = t * pitch;
  return out;
}

}  // namespace

void check(const Convolution& layer) {
  checked_elements(layer.in);
  checked_elements(layer.out);
  want(layer.groups >= 1 && layer.in[0] % layer.groups == 0 && layer.out[0] % layer.groups == 0,
       "its groups do not divide its channels");
  std::int64_t count = std::int64_t{layer.out[0]} * (layer.in[0] / layer.groups);
  want(count <= kMaxElements, "it has too many weights");
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const int kernel = layer.kernel[axis], stride = layer.strides[axis], dilation = layer.dilations[axis];
    want(between(kernel, 1, kMaxStep) && between(stride, 1, kMaxStep) && between(dilation, 1, kMaxStep) &&
             between(layer.pads[axis], -kMaxStep, kMaxStep),
         "its kernel, strides, dilations or pads are out of range");
    const std::int64_t last = layer.out[axis + 1] - 1, reach = std::int64_t{kernel} * dilation;
    want(last * stride + reach < kMaxReach, "its windows lie too far out");
    want(reach <= 2 * kMaxStep + 2 * std::int64_t{layer.in[axis + 1]}, "its windows are much larger than its image");
    count *= kernel;
    want(count <= kMaxElements, "it has too many weights");
  }
  require(static_cast<std::int64_t>(layer.weights.size()) == count, ErrorKind::kCorrupt,
          "a convolution has {} weights, expected {}", layer.weights.size(), count);
}

bool injective(const Layout& layout) {
  std::vector<bool> taken(slot_count(layout), false);
  for (const Place& p : layout.places) {
    if (p.ciphertext < 0) continue;
    const std::size_t i = index_of(p, layout);
    if (taken[i]) return false;
    taken[i] = true;
  }
  return true;
}

LayerMatrix::LayerMatrix(Convolution layer, LayoutPtr in, LayoutPtr out, std::vector<ckks::DiagonalPlace> diagonals)
    : layer_(std::move(layer)), in_(std::move(in)), out_(std::move(out)) {
  check(layer_);
  check_places(*in_, layer_.columns(), "input");
  check_places(*out_, layer_.rows(), "output");
  const int rotations = std::min(in_->period, out_->period), length = std::max(in_->period, out_->period);
  const ckks::DiagonalPlace* last = nullptr;
  for (const ckks::DiagonalPlace& d : diagonals) {
    require(between(d.output, 0, out_->ciphertexts - 1) && between(d.input, 0, in_->ciphertexts - 1) &&
                between(d.rotation, 0, rotations - 1) && std::has_single_bit(d.period) &&
                d.period <= static_cast<std::size_t>(length),
            ErrorKind::kCorrupt, "a layer has a diagonal that its layouts do not allow");
    require(!last || std::tie(last->output, last->input, last->rotation) < std::tie(d.output, d.input, d.rotation),
            ErrorKind::kCorrupt, "the diagonals of a layer are not in ascending order");
    last = &d;
  }
  shape_ = {.inputs = in_->ciphertexts, .outputs = out_->ciphertexts, .diagonals = std::move(diagonals)};
}

std::size_t LayerMatrix::bytes() const {
  return layer_.weights.size() * sizeof(float) + shape_.diagonals.size() * sizeof(ckks::DiagonalPlace) +
         slot_count(*out_) * sizeof(RowSlot) + slot_count(*in_) * sizeof(ColumnSlot);
}

std::shared_ptr<const LayerMatrix::Tables> LayerMatrix::tables() const {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const Tables> tables = tables_.lock();
  if (tables == nullptr) tables_ = tables = std::make_shared<const Tables>(make_tables());
  return tables;
}

LayerMatrix::Tables LayerMatrix::make_tables() const {
  const auto [height, width] = std::pair(layer_.out[1], layer_.out[2]);
  const int plane = height * width, in_plane = layer_.in[1] * layer_.in[2];
  const int window = layer_.kernel[0] * layer_.kernel[1];
  const int group_in = layer_.in[0] / layer_.groups, group_out = layer_.out[0] / layer_.groups;
  Tables t;
  t.rows.assign(slot_count(*out_), {kNoWeight, 0, 0, 0});
  for (int e = 0; const Place& p : out_->places) {
    const int channel = e / plane, y = e / width % height, x = e % width;
    ++e;
    if (p.ciphertext < 0) continue;
    t.rows[index_of(p, *out_)] = {channel * group_in * window, channel / group_out * group_in,
                                  y * layer_.strides[0] - layer_.pads[0], x * layer_.strides[1] - layer_.pads[1]};
  }
  t.columns.assign(slot_count(*in_), {-1, 0, 0});
  for (int e = 0; const Place& p : in_->places) {
    if (p.ciphertext >= 0) {
      t.columns[index_of(p, *in_)] = {e / in_plane, e / layer_.in[2] % layer_.in[1], e % layer_.in[2]};
    }
    ++e;
  }
  t.channel_taps = taps(group_in, 1, window);
  t.y_taps = taps(layer_.kernel[0], layer_.dilations[0], layer_.kernel[1]);
  t.x_taps = taps(layer_.kernel[1], layer_.dilations[1], 1);
  return t;
}

void LayerMatrix::diagonal(const ckks::DiagonalPlace& place, std::span<double> out) const {
  const std::shared_ptr<const Tables> held = tables();
  const Tables& t = *held;
  const auto in_period = static_cast<std::size_t>(in_->period), out_period = static_cast<std::size_t>(out_->period);
  const RowSlot* rows = t.rows.data() + static_cast<std::size_t>(place.output) * out_period;
  const ColumnSlot* columns = t.columns.data() + static_cast<std::size_t>(place.input) * in_period;
  // Steps that lie outside, negative ones as large unsigned numbers, go to the last entry.
  const auto step = [](const std::vector<std::int32_t>& table, std::int32_t to, std::int32_t from) {
    const std::uint32_t distance = static_cast<std::uint32_t>(to) - static_cast<std::uint32_t>(from);
    return table.data()[std::min(distance, static_cast<std::uint32_t>(table.size()) - 1)];
  };
  for (std::size_t b = 0; b < out.size(); ++b) {
    const RowSlot& row = rows[b & (out_period - 1)];
    const ColumnSlot& column = columns[(b + static_cast<std::size_t>(place.rotation)) & (in_period - 1)];
    const std::int32_t index = row.weights + step(t.channel_taps, column.channel, row.channel) +
                               step(t.y_taps, column.y, row.y) + step(t.x_taps, column.x, row.x);
    const float weight = layer_.weights[static_cast<std::size_t>(std::max(index, 0))];
    out[b] = index < 0 ? 0 : static_cast<double>(weight);
  }
}

}  // namespace hearth::compiler
