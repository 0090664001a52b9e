#include "compiler/affine.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <variant>

#include "base/error.h"

namespace hearth::compiler {
namespace {

constexpr std::size_t kMaxWeights = std::size_t{1} << 28;

struct Builder {
  Affine affine;

  void add(std::int64_t row, std::int64_t column, double weight) {
    if (weight == 0) return;
    require(affine.weights.size() < kMaxWeights, ErrorKind::kResource,
            "a linear layer has more than 2^28 weights as a matrix; this version compiles smaller layers only");
    affine.weights.edit().push_back({static_cast<std::int32_t>(row), static_cast<std::int32_t>(column), weight});
  }
};

/// Shape {1, C, H, W} taken apart.
struct Image {
  explicit Image(const nn::Shape& s) : c(s[1]), h(s[2]), w(s[3]) {}
  std::int64_t at(std::int64_t ch, std::int64_t y, std::int64_t x) const { return (ch * h + y) * w + x; }
  std::int64_t c, h, w;
};

void build(Builder& b, const nn::Conv2d& op, const nn::Shape& input, const nn::Shape& output) {
  const Image in(input), out(output);
  const std::int64_t per_group_in = in.c / op.groups, per_group_out = out.c / op.groups;
  const std::int64_t kh = op.weights.shape[2], kw = op.weights.shape[3];
  for (std::int64_t o = 0; o < out.c; ++o) {
    for (std::int64_t y = 0; y < out.h; ++y) {
      for (std::int64_t x = 0; x < out.w; ++x) {
        b.affine.bias[static_cast<std::size_t>(out.at(o, y, x))] = op.bias.data[static_cast<std::size_t>(o)];
        for (std::int64_t k = 0; k < per_group_in * kh * kw; ++k) {
          const std::int64_t i = k / (kh * kw), ky = k / kw % kh, kx = k % kw;
          const std::int64_t sy = y * op.strides[0] + ky * op.dilations[0] - op.pads.top;
          const std::int64_t sx = x * op.strides[1] + kx * op.dilations[1] - op.pads.left;
          if (sy < 0 || sy >= in.h || sx < 0 || sx >= in.w) continue;
          const double w = op.weights.data[static_cast<std::size_t>(o * per_group_in * kh * kw + k)];
          b.add(out.at(o, y, x), in.at(o / per_group_out * per_group_in + i, sy, sx), w);
        }
      }
    }
  }
}

void build(Builder& b, const nn::Dense& op, const nn::Shape& input, const nn::Shape&) {
  const std::int64_t in = input.back(), out = op.weights.shape[0];
  const std::int64_t batches = b.affine.columns / in;
  for (std::int64_t n = 0; n < batches; ++n) {
    for (std::int64_t o = 0; o < out; ++o) {
      b.affine.bias[static_cast<std::size_t>(n * out + o)] = op.bias.data[static_cast<std::size_t>(o)];
      for (std::int64_t i = 0; i < in; ++i) {
        b.add(n * out + o, n * in + i, op.weights.data[static_cast<std::size_t>(o * in + i)]);
      }
    }
  }
}

void build(Builder& b, const nn::MulConstant& op, const nn::Shape&, const nn::Shape& output) {
  const nn::Tensor d = nn::broadcast_to(op.constant, output);
  for (std::int64_t i = 0; i < d.size(); ++i) b.add(i, i, d.data[static_cast<std::size_t>(i)]);
}

void build(Builder& b, const nn::AddConstant& op, const nn::Shape&, const nn::Shape& output) {
  const nn::Tensor constant = nn::broadcast_to(op.constant, output);
  b.affine.bias.assign(constant.data.begin(), constant.data.end());
  for (std::int64_t i = 0; i < b.affine.rows; ++i) b.add(i, i, 1);
}

void build(Builder& b, const nn::BatchNorm& op, const nn::Shape& input, const nn::Shape&) {
  const std::int64_t per_channel = b.affine.rows / input[1];
  for (std::int64_t i = 0; i < b.affine.rows; ++i) {
    const auto c = static_cast<std::size_t>(i / per_channel);
    b.add(i, i, op.scale.data[c]);
    b.affine.bias[static_cast<std::size_t>(i)] = op.shift.data[c];
  }
}

void build(Builder& b, const nn::AveragePool& op, const nn::Shape& input, const nn::Shape& output) {
  const Image in(input), out(output);
  for (std::int64_t row = 0; row < b.affine.rows; ++row) {
    const std::int64_t c = row / (out.h * out.w), y = row / out.w % out.h, x = row % out.w;
    std::vector<std::int64_t> columns;
    std::int64_t counted = 0;
    for (std::int64_t k = 0; k < op.kernel[0] * op.kernel[1]; ++k) {
      const std::int64_t sy = y * op.strides[0] + k / op.kernel[1] * op.dilations[0] - op.pads.top;
      const std::int64_t sx = x * op.strides[1] + k % op.kernel[1] * op.dilations[1] - op.pads.left;
      const bool inside = sy >= 0 && sy < in.h && sx >= 0 && sx < in.w;
      const bool padded = sy < in.h + op.pads.bottom && sx < in.w + op.pads.right;
      if (inside) columns.push_back(in.at(c, sy, sx));
      if (inside || (op.count_include_pad && padded)) ++counted;
    }
    for (const std::int64_t column : columns) b.add(row, column, 1.0 / static_cast<double>(counted));
  }
}

void build(Builder& b, const nn::GlobalAveragePool&, const nn::Shape&, const nn::Shape&) {
  const std::int64_t window = b.affine.columns / b.affine.rows;
  for (std::int64_t i = 0; i < b.affine.columns; ++i) b.add(i / window, i, 1.0 / static_cast<double>(window));
}

void build(Builder& b, const nn::ReduceMean& op, const nn::Shape& input, const nn::Shape&) {
  const auto strides = nn::row_major_strides(input);
  const double weight = static_cast<double>(b.affine.rows) / static_cast<double>(b.affine.columns);
  for (std::int64_t e = 0; e < b.affine.columns; ++e) {
    std::int64_t row = 0;
    for (std::size_t axis = 0; axis < input.size(); ++axis) {
      if (std::ranges::count(op.axes, static_cast<std::int64_t>(axis)) == 0) {
        row = row * input[axis] + e / strides[axis] % input[axis];
      }
    }
    b.add(row, e, weight);
  }
}

void build(Builder& b, const nn::Pad& op, const nn::Shape& input, const nn::Shape& output) {
  const auto from = nn::row_major_strides(input), to = nn::row_major_strides(output);
  std::fill(b.affine.bias.begin(), b.affine.bias.end(), static_cast<double>(op.value));
  for (std::int64_t e = 0; e < b.affine.columns; ++e) {
    std::int64_t row = 0;
    for (std::size_t axis = 0; axis < input.size(); ++axis) {
      row += (e / from[axis] % input[axis] + op.before[axis]) * to[axis];
    }
    b.add(row, e, 1);
    b.affine.bias[static_cast<std::size_t>(row)] = 0;
  }
}

template <typename T>
void build(Builder&, const T&, const nn::Shape&, const nn::Shape&) {
  fail(ErrorKind::kInternal, "an operator that is not affine was asked for its matrix");
}

std::array<int, 3> extents(const nn::Shape& shape) {
  return {static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3])};
}

std::array<int, 2> pair_of(const nn::HeightWidth& v) { return {static_cast<int>(v[0]), static_cast<int>(v[1])}; }

std::optional<Convolution> convolution_of(const nn::Conv2d& op, const nn::Shape& input, const nn::Shape& output) {
  return Convolution{.in = extents(input),
                     .out = extents(output),
                     .groups = static_cast<int>(op.groups),
                     .kernel = pair_of({op.weights.shape[2], op.weights.shape[3]}),
                     .strides = pair_of(op.strides),
                     .dilations = pair_of(op.dilations),
                     .pads = pair_of({op.pads.top, op.pads.left}),
                     .weights = op.weights.data};
}

std::optional<Convolution> convolution_of(const nn::Dense& op, const nn::Shape& input) {
  if (nn::element_count(input) != input.back()) return std::nullopt;
  return Convolution{.in = {static_cast<int>(input.back()), 1, 1},
                     .out = {static_cast<int>(op.weights.shape[0]), 1, 1},
                     .weights = op.weights.data};
}

/// One weight for every tap of every channel.
Convolution mean(std::array<int, 3> in, std::array<int, 3> out, std::array<int, 2> kernel) {
  const std::size_t window = static_cast<std::size_t>(kernel[0]) * static_cast<std::size_t>(kernel[1]);
  return Convolution{
      .in = in,
      .out = out,
      .groups = in[0],
      .kernel = kernel,
      .weights = std::vector<float>(static_cast<std::size_t>(in[0]) * window, 1.0F / static_cast<float>(window))};
}

std::optional<Convolution> convolution_of(const nn::AveragePool& op, const nn::Shape& input, const nn::Shape& output) {
  const nn::Pads none{};
  if (op.ceil_mode || op.pads.top != none.top || op.pads.left != none.left || op.pads.bottom != none.bottom ||
      op.pads.right != none.right) {
    return std::nullopt;  // windows may count differently
  }
  Convolution layer = mean(extents(input), extents(output), pair_of(op.kernel));
  layer.strides = pair_of(op.strides);
  layer.dilations = pair_of(op.dilations);
  return layer;
}

std::optional<Convolution> mean_of_planes(const nn::Shape& input) {
  if (input.size() != 4) return std::nullopt;
  const auto in = extents(input);
  return mean(in, {in[0], 1, 1}, {in[1], in[2]});
}

/// Start of each row's weights, rows + 1 entries.
std::vector<std::size_t> row_starts(const Affine& a) {
  std::vector<std::size_t> starts(static_cast<std::size_t>(a.rows) + 1, 0);
  for (const Weight& w : a.weights) ++starts[static_cast<std::size_t>(w.row) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  return starts;
}

}  // namespace

bool is_affine(const nn::Op& op) {
  return std::holds_alternative<nn::Conv2d>(op) || std::holds_alternative<nn::Dense>(op) ||
         std::holds_alternative<nn::MulConstant>(op) || std::holds_alternative<nn::AddConstant>(op) ||
         std::holds_alternative<nn::BatchNorm>(op) || std::holds_alternative<nn::AveragePool>(op) ||
         std::holds_alternative<nn::GlobalAveragePool>(op) || std::holds_alternative<nn::ReduceMean>(op) ||
         std::holds_alternative<nn::Pad>(op);
}

Affine to_affine(const nn::Op& op, const nn::Shape& input, const nn::Shape& output) {
  Builder builder;
  builder.affine.rows = nn::element_count(output);
  builder.affine.columns = nn::element_count(input);
  builder.affine.bias.assign(static_cast<std::size_t>(builder.affine.rows), 0);
  std::visit([&](const auto& o) { build(builder, o, input, output); }, op);
  canonicalise(builder.affine);
  return std::move(builder.affine);
}

std::shared_ptr<const Convolution> to_convolution(const nn::Op& op, const nn::Shape& input, const nn::Shape& output) {
  std::optional<Convolution> layer;
  if (const auto* conv = std::get_if<nn::Conv2d>(&op)) layer = convolution_of(*conv, input, output);
  if (const auto* dense = std::get_if<nn::Dense>(&op)) layer = convolution_of(*dense, input);
  if (const auto* pool = std::get_if<nn::AveragePool>(&op)) layer = convolution_of(*pool, input, output);
  if (std::holds_alternative<nn::GlobalAveragePool>(op)) layer = mean_of_planes(input);
  if (!layer) return nullptr;
  try {
    check(*layer);
  } catch (const Error&) {
    return nullptr;  // steps or extents beyond what the form holds: it stays a matrix
  }
  return std::make_shared<Convolution>(std::move(*layer));
}

Affine diagonal_affine(const std::vector<double>& diagonal, const std::vector<double>& bias) {
  Builder builder;
  builder.affine.rows = builder.affine.columns = static_cast<std::int64_t>(diagonal.size());
  builder.affine.bias = bias;
  for (std::size_t i = 0; i < diagonal.size(); ++i) {
    builder.add(static_cast<std::int64_t>(i), static_cast<std::int64_t>(i), diagonal[i]);
  }
  return std::move(builder.affine);
}

void canonicalise(Affine& affine) {
  auto& w = affine.weights.edit();
  const auto key = [](const Weight& a) { return std::pair(a.row, a.column); };
  if (!std::ranges::is_sorted(w, {}, key)) std::ranges::sort(w, {}, key);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < w.size();) {
    Weight sum = w[i];
    for (++i; i < w.size() && key(w[i]) == key(sum); ++i) sum.weight += w[i].weight;
    if (sum.weight != 0) w[kept++] = sum;
  }
  w.resize(kept);
}

std::int64_t compose_cost(const Affine& second, const Affine& first) {
  const auto starts = row_starts(first);
  std::int64_t cost = 0;
  for (const Weight& w : second.weights) {
    const auto row = static_cast<std::size_t>(w.column);
    cost += static_cast<std::int64_t>(starts[row + 1] - starts[row]);
  }
  return cost;
}

Affine compose(const Affine& second, const Affine& first) {
  const auto starts = row_starts(first);
  Builder builder;
  builder.affine.rows = second.rows;
  builder.affine.columns = first.columns;
  builder.affine.bias = second.bias;
  for (const Weight& w : second.weights) {
    const auto middle = static_cast<std::size_t>(w.column);
    builder.affine.bias[static_cast<std::size_t>(w.row)] += w.weight * first.bias[middle];
    for (std::size_t k = starts[middle]; k < starts[middle + 1]; ++k) {
      builder.add(w.row, first.weights[k].column, w.weight * first.weights[k].weight);
    }
  }
  canonicalise(builder.affine);
  return std::move(builder.affine);
}

std::vector<double> apply_affine(const Affine& affine, const std::vector<double>& x) {
  std::vector<double> y = affine.bias;
  for (const Weight& w : affine.weights) {
    y[static_cast<std::size_t>(w.row)] += w.weight * x[static_cast<std::size_t>(w.column)];
  }
  return y;
}

}  // namespace hearth::compiler
