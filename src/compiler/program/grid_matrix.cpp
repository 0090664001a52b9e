#include "compiler/program/grid_matrix.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"

namespace hearth::compiler {
namespace {

void want(bool condition, const char* what) {
  require(condition, ErrorKind::kCorrupt, "a layer does not fit its grid: {}", what);
}

int floor_div(int a, int b) { return a / b - (a % b < 0 ? 1 : 0); }

/// The representative of v modulo `period` in [-period / 2, period / 2); period is a power of two.
int centred(int v, int period) { return ((v + period / 2) & (period - 1)) - period / 2; }

}  // namespace

GridMatrix::GridMatrix(std::shared_ptr<const Convolution> layer, GridLayoutPtr in, GridLayoutPtr out, bool pooled)
    : layer_(std::move(layer)), in_(std::move(in)), out_(std::move(out)), pooled_(pooled) {
  check_parts();
  std::vector<std::vector<ckks::DiagonalPlace>> places(static_cast<std::size_t>(out_->ciphertexts()));
  parallel_for(0, places.size(), [&](std::size_t o) { places[o] = places_of(static_cast<int>(o)); });
  shape_ = {.inputs = in_->ciphertexts(), .outputs = out_->ciphertexts(), .diagonals = {}};
  for (const auto& list : places) shape_.diagonals.insert(shape_.diagonals.end(), list.begin(), list.end());
}

void GridMatrix::check_parts() const {
  check(*layer_);
  check(*in_);
  check(*out_);
  // What finding the diagonals takes, in time and memory, whatever a file says.
  want(static_cast<double>(layer_->weights.size()) * out_->phases < 0x1p33 && in_->ciphertexts() <= 4096 &&
           static_cast<double>(in_->ciphertexts()) * out_->ciphertexts() * in_->slots < 0x1p34,
       "it has too many weights or ciphertexts");
  want(in_->slots == out_->slots && in_->rows == out_->rows, "its two images are on different grids");
  want(in_->shape == layer_->in && out_->shape == layer_->out, "its extents are not those of its layouts");
  if (pooled_ || in_->repeated) {
    const bool whole = pooled_ && layer_->kernel == std::array{in_->shape[1], in_->shape[2]};
    want((whole || layer_->kernel == std::array{1, 1}) && layer_->strides == std::array{1, 1} &&
             layer_->dilations == std::array{1, 1} && layer_->pads == std::array{0, 0},
         "a layer that makes a vector must be 1 x 1 or as large as the image");
    want(out_->repeated && out_->pitch == in_->pitch, "its result must be a vector of the same pitch");
    return;
  }
  want(!out_->repeated && out_->pitch == layer_->strides[1] * in_->pitch &&
           in_->phases == layer_->strides[0] * out_->phases,
       "its strides are not the ratios of pitches and phases");
  const int right = (layer_->kernel[1] - 1) * layer_->dilations[1] - layer_->pads[1];
  const int bottom =
      layer_->strides[0] * (out_->phases - 1) + (layer_->kernel[0] - 1) * layer_->dilations[0] - layer_->pads[0];
  want(2 * std::max(std::abs(layer_->pads[1]), std::abs(right)) < std::max(in_->columns(), 2) &&
           2 * std::max(std::abs(floor_div(-layer_->pads[0], in_->phases)), std::abs(floor_div(bottom, in_->phases))) <
               std::max(in_->rows, 2),
       "its windows reach half of the grid or further");
}

std::vector<ckks::DiagonalPlace> GridMatrix::places_of(int output) const {
  const Convolution& c = *layer_;
  const int group_in = c.in[0] / c.groups, group_out = c.out[0] / c.groups, slots = in_->slots;
  const std::vector<std::int32_t> numbers = entry_numbers(*in_);
  std::vector<char> used(static_cast<std::size_t>(in_->ciphertexts()) * static_cast<std::size_t>(slots), 0);
  // Marks the rotations from all channels of a group in one phase, `distance` slots away.
  const auto mark = [&](int group, int phase, int distance) {
    for (int ch = group * group_in; ch < (group + 1) * group_in; ++ch) {
      const int j = numbers[static_cast<std::size_t>(phase * c.in[0] + ch)];
      const int rotation = (distance + j % in_->pitch) & (slots - 1);
      used[static_cast<std::size_t>(j / in_->pitch) * static_cast<std::size_t>(slots) +
           static_cast<std::size_t>(rotation)] = 1;
    }
  };
  for (int e = 0; e < out_->pitch; ++e) {
    const GridEntry& to = out_->entries[static_cast<std::size_t>(output * out_->pitch + e)];
    if (to.channel < 0) continue;
    const int group = to.channel / group_out;
    if (pooled_) {
      for (int phase = 0; phase < in_->phases; ++phase) mark(group, phase, -e);
      continue;
    }
    for (int ky = 0; ky < c.kernel[0]; ++ky) {
      const int y = c.strides[0] * to.phase + ky * c.dilations[0] - c.pads[0];
      const int row = floor_div(y, in_->phases), phase = y - row * in_->phases;
      for (int kx = 0; kx < c.kernel[1]; ++kx) {
        const int x = kx * c.dilations[1] - c.pads[1];
        mark(group, phase, row * in_->row_slots() + x * in_->pitch - e);
      }
    }
  }
  std::vector<ckks::DiagonalPlace> places;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    places.push_back({output, static_cast<int>(i) / slots, static_cast<int>(i) % slots,
                      static_cast<std::size_t>(by_position() ? slots : out_->pitch)});
  }
  return places;
}

/// Of the entry `from`, `row` grid rows and `column` image columns away.
float GridMatrix::weight(const GridEntry& to, const GridEntry& from, int row, int column) const {
  const Convolution& c = *layer_;
  const int group_in = c.in[0] / c.groups, group_out = c.out[0] / c.groups;
  const int within = from.channel - to.channel / group_out * group_in;
  if (within < 0 || within >= group_in) return 0;
  const int first = to.channel * group_in + within;
  if (pooled_) return row == 0 && column == 0 ? c.weights[static_cast<std::size_t>(first)] : 0;
  const int y = row * in_->phases + from.phase + c.pads[0] - c.strides[0] * to.phase, x = column + c.pads[1];
  if (y < 0 || x < 0 || y % c.dilations[0] != 0 || x % c.dilations[1] != 0) return 0;
  const int ky = y / c.dilations[0], kx = x / c.dilations[1];
  if (ky >= c.kernel[0] || kx >= c.kernel[1]) return 0;
  return c.weights[static_cast<std::size_t>((first * c.kernel[0] + ky) * c.kernel[1] + kx)];
}

/// Of a window as large as the image, for the grid point that both entries belong to.
float GridMatrix::weight_at(const GridEntry& to, const GridEntry& from, int point) const {
  const Convolution& c = *layer_;
  const int group_in = c.in[0] / c.groups, group_out = c.out[0] / c.groups;
  const int within = from.channel - to.channel / group_out * group_in;
  const int y = point / in_->columns() * in_->phases + from.phase, x = point % in_->columns();
  if (within < 0 || within >= group_in || y >= c.in[1] || x >= c.in[2]) return 0;
  return c.weights[static_cast<std::size_t>(((to.channel * group_in + within) * c.in[1] + y) * c.in[2] + x)];
}

void GridMatrix::diagonal(const ckks::DiagonalPlace& place, std::span<double> out) const {
  const GridEntry* to = out_->entries.data() + place.output * out_->pitch;
  const GridEntry* from = in_->entries.data() + place.input * in_->pitch;
  const int columns = in_->columns(), pitch = in_->pitch;
  for (int s = 0; s < static_cast<int>(out.size()); ++s) {
    out[static_cast<std::size_t>(s)] = 0;
    const int slot = s + place.rotation;
    const GridEntry &target = to[s & (out_->pitch - 1)], &source = from[slot & (pitch - 1)];
    if (target.channel < 0 || source.channel < 0) continue;
    const int point = slot / pitch - (by_position() ? s / pitch : 0), column = centred(point, columns);
    const int row = centred((point - column) / columns, in_->rows);
    const bool same = row == 0 && column == 0;
    out[static_cast<std::size_t>(s)] = static_cast<double>(
        by_position() ? (same ? weight_at(target, source, s / pitch) : 0) : weight(target, source, row, column));
  }
}

std::vector<int> GridMatrix::fold_steps() const {
  std::vector<int> steps;
  for (int step = in_->pitch; pooled_ && step < in_->slots; step *= 2) steps.push_back(step);
  return steps;
}

std::size_t GridMatrix::bytes() const {
  return layer_->weights.size() * sizeof(float) + shape_.diagonals.size() * sizeof(ckks::DiagonalPlace);
}

}  // namespace hearth::compiler
