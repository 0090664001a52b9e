#include "nn/reference.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "nn/convolve.h"
#include "nn/window.h"

namespace hearth::nn {

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// sum += weight * (image shifted and strided as kernel tap (ky, kx) sees it); one channel.
struct Tap {
  HeightWidth in, out, strides, dilations;
  Pads pads;

  template <typename Visit>
  void for_each(std::int64_t ky, std::int64_t kx, const Visit& visit) const {
    const Reach rows = reach(out[0], in[0], strides[0], pads.top, ky * dilations[0]);
    const Reach columns = reach(out[1], in[1], strides[1], pads.left, kx * dilations[1]);
    for (std::int64_t y = rows.first; y < rows.last; ++y) {
      const std::int64_t from = (y * strides[0] + rows.shift) * in[1] + columns.shift;
      for (std::int64_t x = columns.first; x < columns.last; ++x) {
        visit(index(y * out[1] + x), index(from + x * strides[1]));
      }
    }
  }
};

std::int64_t inner_size(const Shape& shape, std::size_t axis) {
  std::int64_t size = 1;
  for (std::size_t i = axis + 1; i < shape.size(); ++i) size *= shape[i];
  return size;
}

/// Steps `index` to the next position of `shape` in row-major order.
void advance(std::vector<std::int64_t>& position, const Shape& shape) {
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (++position[axis] < shape[axis]) return;
    position[axis] = 0;
  }
}

struct Evaluator {
  const std::vector<const Tensor*>& in;
  Shape shape;  ///< of the result

  const Tensor& x() const { return *in[0]; }

  Tensor map(const auto& function) const {
    Tensor y(shape);
    for (std::size_t i = 0; i < y.data.size(); ++i) y.data[i] = static_cast<float>(function(i, double{x().data[i]}));
    return y;
  }

  /// Channel (position along axis 1) of element i.
  std::size_t channel(std::size_t i) const {
    return shape.size() < 2 ? 0 : i / index(inner_size(shape, 1)) % index(shape[1]);
  }

  Tensor operator()(const Input&) const { fail(ErrorKind::kInternal, "the input of a graph is not computed"); }

  Tensor operator()(const Conv2d& op) const { return convolve(op, x(), shape); }

  Tensor operator()(const Dense& op) const {
    const std::size_t outputs = index(op.weights.shape[0]);
    const std::size_t inputs = index(op.weights.shape[1]);
    Tensor y(shape);
    for (std::size_t i = 0; i < y.data.size(); ++i) {
      const float* row = op.weights.data.data() + i % outputs * inputs;
      const float* values = x().data.data() + i / outputs * inputs;
      double sum = op.bias.data[i % outputs];
      for (std::size_t k = 0; k < inputs; ++k) sum += double{row[k]} * values[k];
      y.data[i] = static_cast<float>(sum);
    }
    return y;
  }

  Tensor operator()(const Add&) const {
    return map([&](std::size_t i, double v) { return v + in[1]->data[i]; });
  }
  Tensor operator()(const Sub&) const {
    return map([&](std::size_t i, double v) { return v - in[1]->data[i]; });
  }
  Tensor operator()(const Multiply&) const {
    return map([&](std::size_t i, double v) { return v * in[1]->data[i]; });
  }
  Tensor operator()(const AddConstant& op) const {
    const Tensor full = broadcast_to(op.constant, shape);
    return map([&](std::size_t i, double v) { return v + full.data[i]; });
  }
  Tensor operator()(const MulConstant& op) const {
    const Tensor full = broadcast_to(op.constant, shape);
    return map([&](std::size_t i, double v) { return v * full.data[i]; });
  }

  Tensor operator()(const Polynomial& op) const {
    const std::size_t columns = index(op.coefficients.shape[1]);
    return map([&](std::size_t i, double v) {
      const std::size_t column = columns == 1 ? 0 : channel(i);
      double sum = 0;
      for (std::size_t k = index(op.degree()) + 1; k-- > 0;) sum = sum * v + op.coefficients.data[k * columns + column];
      return sum;
    });
  }

  Tensor operator()(const BatchNorm& op) const {
    return map([&](std::size_t i, double v) { return v * op.scale.data[channel(i)] + op.shift.data[channel(i)]; });
  }

  Tensor operator()(const Activation& op) const {
    // What evaluate() says of the commonest two, where the compiler can see that it is the same for every element.
    if (op.kind == ActivationKind::kRelu) {
      return map([](std::size_t, double v) { return std::max(v, 0.0); });
    }
    if (op.kind == ActivationKind::kClip) {
      return map([low = op.a, high = op.b](std::size_t, double v) { return std::min(std::max(v, low), high); });
    }
    return map([&](std::size_t, double v) { return evaluate(op, v); });
  }
  Tensor operator()(const Max&) const {
    return map([&](std::size_t i, double v) { return std::max(v, double{in[1]->data[i]}); });
  }

  Tensor operator()(const MaxPool& op) const {
    const Tap tap{{x().shape[2], x().shape[3]}, {shape[2], shape[3]}, op.strides, op.dilations, op.pads};
    const std::size_t in_plane = index(tap.in[0] * tap.in[1]);
    const std::size_t out_plane = index(tap.out[0] * tap.out[1]);
    Tensor y(shape, -std::numeric_limits<float>::infinity());
    for (std::size_t c = 0; c < index(shape[1]); ++c) {
      const float* from_plane = x().data.data() + c * in_plane;
      float* to_plane = y.data.data() + c * out_plane;
      for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
        for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
          tap.for_each(ky, kx, [&](std::size_t to, std::size_t from) {
            to_plane[to] = std::max(to_plane[to], from_plane[from]);
          });
        }
      }
    }
    return y;
  }

  Tensor operator()(const AveragePool& op) const {
    const Tap tap{{x().shape[2], x().shape[3]}, {shape[2], shape[3]}, op.strides, op.dilations, op.pads};
    const std::size_t in_plane = index(tap.in[0] * tap.in[1]);
    const std::size_t out_plane = index(tap.out[0] * tap.out[1]);
    const std::vector<std::int64_t> counts = divisors(op, tap);
    Tensor y(shape);
    for (std::size_t c = 0; c < index(shape[1]); ++c) {
      std::vector<double> sum(out_plane, 0.0);
      for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
        for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
          tap.for_each(ky, kx, [&](std::size_t to, std::size_t from) { sum[to] += x().data[c * in_plane + from]; });
        }
      }
      for (std::size_t i = 0; i < out_plane; ++i) {
        y.data[c * out_plane + i] = counts[i] == 0 ? 0.0F : static_cast<float>(sum[i] / static_cast<double>(counts[i]));
      }
    }
    return y;
  }

  /// How many elements each window counts: those in the image, or in the image with its declared padding.
  static std::vector<std::int64_t> divisors(const AveragePool& op, Tap tap) {
    if (op.count_include_pad) {
      tap.in[0] += op.pads.top + op.pads.bottom;
      tap.in[1] += op.pads.left + op.pads.right;
      tap.pads = {};
    }
    std::vector<std::int64_t> counts(index(tap.out[0] * tap.out[1]), 0);
    for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
      for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
        tap.for_each(ky, kx, [&](std::size_t to, std::size_t) { ++counts[to]; });
      }
    }
    return counts;
  }

  Tensor operator()(const GlobalAveragePool&) const {
    Tensor y(shape);
    const std::size_t plane = x().data.size() / y.data.size();
    for (std::size_t c = 0; c < y.data.size(); ++c) {
      double sum = 0;
      for (std::size_t i = 0; i < plane; ++i) sum += x().data[c * plane + i];
      y.data[c] = static_cast<float>(sum / static_cast<double>(plane));
    }
    return y;
  }

  Tensor operator()(const ReduceMean& op) const {
    const Shape& from = x().shape;
    Shape kept = from;
    for (const std::int64_t axis : op.axes) kept[index(axis)] = 1;
    const std::vector<std::int64_t> strides = row_major_strides(kept);
    std::vector<double> sum(index(element_count(kept)), 0.0);
    std::vector<std::int64_t> position(from.size(), 0);
    for (const float value : x().data) {
      std::int64_t to = 0;
      for (std::size_t i = 0; i < from.size(); ++i) to += kept[i] == 1 ? 0 : position[i] * strides[i];
      sum[index(to)] += value;
      advance(position, from);
    }
    Tensor y(shape);
    const auto count = static_cast<double>(x().data.size() / sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i) y.data[i] = static_cast<float>(sum[i] / count);
    return y;
  }

  Tensor operator()(const Reshape&) const { return reshaped(x(), shape); }

  Tensor operator()(const Pad& op) const {
    Tensor y(shape, op.value);
    const std::vector<std::int64_t> strides = row_major_strides(shape);
    std::vector<std::int64_t> position(shape.size(), 0);
    for (const float value : x().data) {
      std::int64_t to = 0;
      for (std::size_t i = 0; i < shape.size(); ++i) to += (position[i] + op.before[i]) * strides[i];
      y.data[index(to)] = value;
      advance(position, x().shape);
    }
    return y;
  }

  Tensor operator()(const Concat& op) const {
    const std::size_t axis = index(op.axis);
    const std::int64_t outer = element_count(Shape(shape.begin(), shape.begin() + op.axis));
    Tensor y(shape);
    auto to = y.data.begin();
    for (std::int64_t o = 0; o < outer; ++o) {
      for (const Tensor* part : in) {
        const std::int64_t chunk = part->shape[axis] * inner_size(shape, axis);
        to = std::copy_n(part->data.begin() + o * chunk, chunk, to);
      }
    }
    return y;
  }

  Tensor operator()(const Slice& op) const {
    const std::vector<std::int64_t> strides = row_major_strides(x().shape);
    std::vector<std::int64_t> position(shape.size(), 0);
    Tensor y(shape);
    for (float& value : y.data) {
      std::int64_t from = 0;
      for (std::size_t i = 0; i < shape.size(); ++i) from += (op.starts[i] + position[i] * op.steps[i]) * strides[i];
      value = x().data[index(from)];
      advance(position, shape);
    }
    return y;
  }

  Tensor operator()(const Transpose& op) const { return transposed(x(), op.permutation); }
  Tensor operator()(const Identity&) const { return x(); }
};

Tensor with_input_shape(const Graph& graph, const Tensor& input) {
  const Shape& expected = graph.input_shape();
  Shape batched = input.shape;
  batched.insert(batched.begin(), 1);
  require(input.shape == expected || batched == expected, ErrorKind::kMismatch,
          "the network's input has shape {}, got {}", to_string(expected), to_string(input.shape));
  return reshaped(input, expected);
}

Tensor evaluate_node(const Graph& graph, ValueId id, const std::vector<Tensor>& values) {
  std::vector<const Tensor*> inputs;
  for (const ValueId input : graph.nodes[id].inputs) inputs.push_back(&values[input]);
  return evaluate(graph.nodes[id].op, inputs);
}

}  // namespace

Tensor evaluate(const Op& op, const std::vector<const Tensor*>& inputs) {
  std::vector<Shape> shapes;
  for (const Tensor* input : inputs) shapes.push_back(input->shape);
  return std::visit(Evaluator{inputs, infer_shape(op, shapes)}, op);
}

std::vector<Tensor> run_all(const Graph& graph, const Tensor& input) {
  std::vector<Tensor> values = {with_input_shape(graph, input)};
  for (ValueId id = 1; id < graph.nodes.size(); ++id) values.push_back(evaluate_node(graph, id, values));
  return values;
}

Tensor run(const Graph& graph, const Tensor& input) {
  return run_visiting(graph, input, [](ValueId, const Tensor&) {});
}

Tensor run_visiting(const Graph& graph, const Tensor& input, const Visitor& visit) {
  const std::vector<std::vector<ValueId>> users = graph.users();
  std::vector<Tensor> values(graph.nodes.size());
  const auto free_after = [&](ValueId id, ValueId user) {
    const bool used = users[id].empty() || users[id].back() <= user;
    if (used && id != graph.output) values[id] = Tensor();
  };
  for (ValueId id = 0; id < graph.nodes.size(); ++id) {
    values[id] = id == 0 ? with_input_shape(graph, input) : evaluate_node(graph, id, values);
    visit(id, values[id]);
    for (const ValueId used : graph.nodes[id].inputs) free_after(used, id);
    free_after(id, id);
  }
  return std::move(values[graph.output]);
}

}  // namespace hearth::nn
