#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nn/activation.h"
#include "nn/tensor.h"

/// The tensor graph: what an ONNX model becomes before anything cryptographic is decided.
///
/// Batch: shapes are those of ONNX with the batch dimension kept and equal to 1, so an image is {1, C, H, W}, a signal
/// {1, C, L} and a feature vector {1, F}. Dynamic batch dimensions become 1 at import. Axes count from this leading 1.
/// Since the batch is 1, dropping or adding it never moves data; as_chw() gives the shape without it.
namespace hearth::nn {

/// Node i of a graph produces value i, so a value is named by its node's index.
using ValueId = std::size_t;

/// Rows and columns added around an image. Negative padding does not occur.
struct Pads {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
  bool operator==(const Pads&) const = default;
};

/// Two extents along (height, width).
using HeightWidth = std::array<std::int64_t, 2>;

// ---- Operators. Each struct holds the attributes; "x" is the only input, "x0, x1, ..." several. ----

/// The network's input (no inputs). `shape` has the batch dimension 1.
struct Input {
  Shape shape;
};

/// Cross-correlation as in ONNX Conv with zero padding.
/// x {1, C, H, W}; weights {M, C / groups, kh, kw}; bias {M}, always present (zeros if the model has none).
/// y {1, M, H', W'}, H' = floor((H + top + bottom - dilations[0] (kh - 1) - 1) / strides[0]) + 1.
struct Conv2d {
  Tensor weights;
  Tensor bias;
  std::int64_t groups = 1;
  HeightWidth strides = {1, 1};
  Pads pads = {};
  HeightWidth dilations = {1, 1};
};

/// Affine map of the last axis: y[..., o] = bias[o] + sum_i weights[o, i] x[..., i].
/// x {..., I}, usually {1, I}; weights {O, I}; bias {O}, always present; y {..., O}.
struct Dense {
  Tensor weights;
  Tensor bias;
};

/// y = x0 + x1, x0 - x1, x0 * x1, element by element; equal shapes. A square is Polynomial {0, 0, 1} after simplify(),
/// and may be Multiply with twice the same input before.
struct Add {};
struct Sub {};
struct Multiply {};

/// y = x + constant, y = x * constant; `constant` broadcasts to x's shape (and never enlarges it).
struct AddConstant {
  Tensor constant;
};
struct MulConstant {
  Tensor constant;
};

/// y = sum_k coefficients[k] x^k, element by element. Coefficients {degree + 1, 1}, or {degree + 1, C} to differ by
/// channel (axis 1 of x, extent C). degree >= 1.
struct Polynomial {
  Tensor coefficients;
  std::int64_t degree() const { return coefficients.shape[0] - 1; }
};

// Activation (activation.h): y = f(x), element by element; check(f) holds.

/// y = max(x0, x1), element by element; equal shapes.
struct Max {};

/// Batch normalisation at inference: y = scale[c] x + shift[c], c along axis 1; both {C}.
struct BatchNorm {
  Tensor scale;
  Tensor shift;
};

/// Mean over windows. x {1, C, H, W}. Padding counts in the divisor only with count_include_pad; what ceil_mode adds
/// beyond the padding never counts; a window that counts nothing gives 0. With ceil_mode, H' = ceil(...) + 1 in the
/// formula of Conv2d, less a last window that would start beyond the image and its top/left padding.
struct AveragePool {
  HeightWidth kernel = {1, 1};
  HeightWidth strides = {1, 1};
  Pads pads = {};
  HeightWidth dilations = {1, 1};
  bool count_include_pad = false;
  bool ceil_mode = false;
};

/// Maximum over windows. x {1, C, H, W}; shapes as for AveragePool. Padding is -infinity; every window holds an element
/// of the image.
struct MaxPool {
  HeightWidth kernel = {1, 1};
  HeightWidth strides = {1, 1};
  Pads pads = {};
  HeightWidth dilations = {1, 1};
  bool ceil_mode = false;
};

/// Mean over all axes from 2 on, which keep extent 1. x {1, C, ...}.
struct GlobalAveragePool {};

/// Mean over `axes` (sorted, distinct, in range, at least one), kept with extent 1 or dropped.
struct ReduceMean {
  std::vector<std::int64_t> axes;
  bool keep_dims = true;
};

/// The same elements in the same order under the shape `target`, which is fully known (no 0 or -1).
struct Reshape {
  Shape target;
};

/// Constant border, one entry an axis of x, none negative.
struct Pad {
  std::vector<std::int64_t> before;
  std::vector<std::int64_t> after;
  float value = 0.0F;
};

/// x0, x1, ... joined along `axis`; the other extents agree.
struct Concat {
  std::int64_t axis = 1;
};

/// y[i, j, ...] = x[starts[0] + i steps[0], starts[1] + j steps[1], ...]; one entry an axis; steps may be negative, not
/// 0; `extents` is y's shape, and every index it reaches lies in x.
struct Slice {
  std::vector<std::int64_t> starts;
  std::vector<std::int64_t> steps;
  Shape extents;
};

/// y.shape[i] = x.shape[permutation[i]].
struct Transpose {
  std::vector<std::int64_t> permutation;
};

/// y = x. (Identity, Dropout and float Cast of ONNX; simplify() removes it.)
struct Identity {};

using Op = std::variant<Input, Conv2d, Dense, Add, Sub, Multiply, AddConstant, MulConstant, Polynomial, BatchNorm,
                        AveragePool, GlobalAveragePool, ReduceMean, Reshape, Pad, Concat, Slice, Transpose, Identity,
                        Activation, Max, MaxPool>;

/// Name of the operator as printed, e.g. "Conv2d"; of an Activation, that of its kind, e.g. "Relu".
std::string_view op_name(const Op& op);

/// One operation. `shape` is the shape of the value it produces; it always equals infer_shape(op, input shapes).
struct Node {
  std::string name;  ///< from ONNX, or derived from it; for messages, not necessarily unique
  Op op;
  std::vector<ValueId> inputs;  ///< all smaller than the node's own index
  Shape shape;
};

/// A network with one input (value 0) and one output, in topological order. Value semantics; const use is thread safe.
struct Graph {
  std::string name;
  std::vector<Node> nodes;
  ValueId output = 0;

  const Shape& input_shape() const { return nodes.front().shape; }
  const Shape& output_shape() const { return nodes[output].shape; }

  /// Appends a node whose shape is inferred, makes it the output and returns its value. The first node must be the
  /// Input. Throws Error(kInvalidArgument), naming the node, if the inputs do not exist or do not fit the operator.
  ValueId add(std::string name, Op op, std::vector<ValueId> inputs = {});

  /// For every value, the nodes that read it, ascending (a node that reads it twice appears twice). The output of the
  /// graph is not a user.
  std::vector<std::vector<ValueId>> users() const;
};

/// Shape of op's result on inputs of these shapes. Throws Error(kInvalidArgument) if attributes or inputs break the
/// contract written at the operator, or the result would exceed the limits of tensor.h.
Shape infer_shape(const Op& op, std::span<const Shape> inputs);

/// Checks all invariants of the graph. Throws Error(kInvalidArgument) naming the node.
void check(const Graph& graph);

/// A shape as channels x height x width without the batch: {1, C, H, W} -> {C, H, W}, {1, C, L} -> {C, 1, L},
/// {1, F} and {F} -> {F, 1, 1}, {} -> {1, 1, 1}. Throws Error(kUnsupported) for anything else (a leading extent other
/// than 1 in rank 2 to 4, or rank above 4).
std::array<std::int64_t, 3> as_chw(const Shape& shape);

/// One line a node: value id, name, operator, inputs, shape, attributes in short.
std::string to_string(const Graph& graph);

}  // namespace hearth::nn
