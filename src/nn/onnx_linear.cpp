#include <cmath>
#include <numeric>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

/// The permutation of `rank` axes that swaps the last two.
std::vector<std::int64_t> swap_last_two(std::size_t rank) {
  std::vector<std::int64_t> out(rank);
  std::iota(out.begin(), out.end(), 0);
  std::swap(out[rank - 1], out[rank - 2]);
  return out;
}

ValueId transpose_last_two(NodeContext& node, ValueId value) {
  return node.emit(Transpose{swap_last_two(node.shape_of(value).size())}, {value});
}

Tensor transposed_matrix(const Tensor& matrix) { return transposed(matrix, swap_last_two(2)); }

Tensor scaled(Tensor tensor, float factor) {
  if (factor != 1.0F) {
    for (float& value : tensor.data) value *= factor;
  }
  return tensor;
}

void require_matrix(const NodeContext& node, std::size_t i) {
  if (node.rank(i) != 2) node.corrupt("input {} must be a matrix, has shape {}", i, to_string(node.shape(i)));
}

ValueId emit_dense(NodeContext& node, Tensor weights, ValueId x) {
  Tensor bias(Shape{weights.shape[0]});
  return node.emit(Dense{std::move(weights), std::move(bias)}, {x});
}

/// beta * C of Gemm if it is a constant row for `outputs` columns; nothing if it is not.
std::optional<Tensor> constant_row(const NodeContext& node, std::int64_t outputs, float beta) {
  if (!node.is_constant(2)) return std::nullopt;
  const Tensor c = scaled(node.tensor(2), beta);
  if (c.size() == 1) return Tensor(Shape{outputs}, c.data[0]);
  if (c.size() == outputs && c.shape.back() == outputs) return reshaped(c, {outputs});
  return std::nullopt;
}

/// Adds beta * C of Gemm to a product behind the dense layer.
ValueId add_gemm_bias(NodeContext& node, ValueId product, float beta) {
  if (node.is_constant(2)) {
    Tensor c = scaled(node.tensor(2), beta);
    return add_operands(node, product, std::make_shared<Constant>(make_constant(std::move(c))), 1.0F);
  }
  ValueId c = node.value(2);
  if (beta != 1.0F) c = node.emit(MulConstant{Tensor(Shape{}, beta)}, {c});
  return add_operands(node, product, c, 1.0F);
}

}  // namespace

void convert_conv(NodeContext& node) {
  const ValueId x = node.value(0);
  Tensor weights = node.tensor(1);
  const Shape& input = node.shape(0);
  if (weights.shape.size() != input.size() || weights.shape.size() < 3) {
    node.corrupt("weights {} on an input of shape {}", to_string(weights.shape), to_string(input));
  }
  const std::vector<std::int64_t> kernel(weights.shape.begin() + 2, weights.shape.end());
  if (node.attribute("kernel_shape", kernel) != kernel) {
    node.corrupt("attribute 'kernel_shape' contradicts weights of shape {}", to_string(weights.shape));
  }
  const Windows windows = read_windows(node, kernel, input);
  if (kernel.size() == 1) weights.shape.insert(weights.shape.begin() + 2, 1);
  Tensor bias = node.has(2) ? node.tensor(2) : Tensor(Shape{weights.shape[0]});
  const ValueId image = as_image(node, x);
  set_like_input(node, node.emit(Conv2d{std::move(weights), std::move(bias), node.attribute("group", std::int64_t{1}),
                                        windows.strides, windows.pads, windows.dilations},
                                 {image}));
}

void convert_gemm(NodeContext& node) {
  require_matrix(node, 0);
  require_matrix(node, 1);
  const bool transpose_a = node.attribute("transA", std::int64_t{0}) != 0;
  const bool transpose_b = node.attribute("transB", std::int64_t{0}) != 0;
  const float alpha = node.attribute("alpha", 1.0F);
  const float beta = node.attribute("beta", 1.0F);
  const bool biased = node.has(2) && beta != 0.0F;
  if (!node.is_constant(1)) {
    // A B = (B' A')' with A constant.
    const ValueId b = transpose_b ? node.value(1) : transpose_last_two(node, node.value(1));
    Tensor weights = transpose_a ? transposed_matrix(node.tensor(0)) : node.tensor(0);
    const ValueId product = transpose_last_two(node, emit_dense(node, scaled(std::move(weights), alpha), b));
    return node.set(biased ? add_gemm_bias(node, product, beta) : product);
  }
  const ValueId a = transpose_a ? transpose_last_two(node, node.value(0)) : node.value(0);
  Tensor weights = transpose_b ? node.tensor(1) : transposed_matrix(node.tensor(1));
  Dense dense{scaled(std::move(weights), alpha), Tensor(Shape{})};
  const std::int64_t outputs = dense.weights.shape[0];
  const std::optional<Tensor> row = biased ? constant_row(node, outputs, beta) : std::nullopt;
  dense.bias = row ? *row : Tensor(Shape{outputs});
  const ValueId product = node.emit(std::move(dense), {a});
  node.set(biased && !row ? add_gemm_bias(node, product, beta) : product);
}

namespace {

/// A constant factor of MatMul as a matrix: a vector becomes a row (`left`) or a column, leading extents must be 1.
Tensor matmul_matrix(const NodeContext& node, std::size_t i, bool left) {
  Tensor matrix = node.tensor(i);
  Shape& shape = matrix.shape;
  if (shape.size() == 1) shape.insert(left ? shape.begin() : shape.end(), 1);
  while (shape.size() > 2 && shape[0] == 1) shape.erase(shape.begin());
  if (shape.size() != 2) {
    node.unsupported("a constant of shape {}; MatMul is supported with one constant matrix", to_string(node.shape(i)));
  }
  return matrix;
}

/// Shape of MatMul's result as ONNX defines it for operands of these shapes (as numpy.matmul).
Shape matmul_shape(Shape a, Shape b) {
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  Shape out = broadcast_shape(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b.back());
  return out;
}

}  // namespace

void convert_matmul(NodeContext& node) {
  if (!node.is_constant(0) && !node.is_constant(1)) {
    node.unsupported("a product of two computed tensors; MatMul is supported with one constant matrix");
  }
  const bool left = node.is_constant(0);
  ValueId x = node.value(left ? 1 : 0);
  const Shape input = node.shape_of(x);
  if (input.empty() || node.shape(left ? 0 : 1).empty()) node.corrupt("MatMul of a scalar");
  Tensor matrix = matmul_matrix(node, left ? 0 : 1, left);
  if (!left) {
    x = emit_dense(node, transposed_matrix(matrix), x);
  } else if (input.size() == 1) {
    x = emit_dense(node, std::move(matrix), x);
  } else {
    x = transpose_last_two(node, emit_dense(node, std::move(matrix), transpose_last_two(node, x)));
  }
  node.set(node.reshape(x, matmul_shape(node.shape(0), node.shape(1))));
}

void convert_batch_normalization(NodeContext& node) {
  const ValueId x = node.value(0);
  if (node.attribute("training_mode", std::int64_t{0}) != 0) {
    node.unsupported("batch normalisation in training mode; export the model for inference");
  }
  if (node.opset() < 9 && node.attribute("spatial", std::int64_t{1}) != 1) {
    node.unsupported("batch normalisation with spatial = 0");
  }
  const Tensor scale = node.tensor(1);
  const Tensor offset = node.tensor(2);
  const Tensor mean = node.tensor(3);
  const Tensor variance = node.tensor(4);
  if (scale.shape.size() != 1 || offset.shape != scale.shape || mean.shape != scale.shape ||
      variance.shape != scale.shape) {
    node.corrupt("scale, offset, mean and variance have different shapes");
  }
  const double epsilon = node.attribute("epsilon", 1e-5F);
  BatchNorm op{scale, offset};
  for (std::size_t c = 0; c < scale.data.size(); ++c) {
    const double spread = variance.data[c] + epsilon;
    if (!(spread > 0))
      node.corrupt("variance {} of channel {} plus epsilon {} is not positive", variance.data[c], c, epsilon);
    const double factor = scale.data[c] / std::sqrt(spread);
    op.scale.data[c] = static_cast<float>(factor);
    op.shift.data[c] = static_cast<float>(offset.data[c] - mean.data[c] * factor);
  }
  node.set(node.emit(std::move(op), {x}));
}

}  // namespace hearth::nn
