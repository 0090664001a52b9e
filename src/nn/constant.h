#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "nn/graph.h"

/// Constants met while importing a model and the arithmetic that folds them. Internal to the ONNX import.
namespace hearth::nn {

/// A float32 or integer array. Every integer and boolean type of ONNX becomes int64. May be empty (an extent of 0).
/// Invariant: the number of elements equals element_count(shape).
struct Constant {
  Shape shape;
  std::variant<std::vector<float>, std::vector<std::int64_t>> data;

  bool is_integer() const { return data.index() == 1; }
  std::int64_t count() const;
  /// Throws Error(kInvalidArgument) if the elements are of the other type.
  const std::vector<float>& floats() const;
  const std::vector<std::int64_t>& integers() const;
  /// A float tensor; throws like floats().
  Tensor tensor() const { return {shape, floats()}; }
};

using ConstantPtr = std::shared_ptr<const Constant>;

/// An integer vector {length} or a float tensor as a Constant.
Constant integer_vector(std::vector<std::int64_t> values);
Constant make_constant(Tensor tensor);

// The folds below throw Error(kInvalidArgument) where shapes, types or values do not fit, and on integer overflow. None
// produces more than kMaxElements elements; callers bound the sum of what they fold.

/// Add, Sub, Mul, Div, Mod, Pow, Min, Max (equal types in and out) or Equal, Less, Greater, And, Or (0 or 1), with
/// broadcasting. Integer division truncates towards zero.
Constant fold_binary(std::string_view op, const Constant& a, const Constant& b);

/// Neg, Abs, Floor, Ceil, Sqrt, Reciprocal, Not, Identity.
Constant fold_unary(std::string_view op, const Constant& x);

/// condition ? a : b with broadcasting.
Constant fold_where(const Constant& condition, const Constant& a, const Constant& b);

/// Conversion to integer (towards zero; the value must fit) or to float.
Constant fold_cast(const Constant& x, bool to_integer);

/// The element at offset + sum_i index[i] strides[i] for every index of `shape`; what slices, transposes and broadcasts
/// are made of.
Constant fold_strided(const Constant& x, const Shape& shape, std::int64_t offset,
                      std::span<const std::int64_t> strides);
Constant fold_slice(const Constant& x, const Slice& slice);
Constant fold_transpose(const Constant& x, std::span<const std::int64_t> permutation);
Constant fold_expand(const Constant& x, const Shape& shape);
Constant fold_reshape(Constant x, Shape shape);
Constant fold_gather(const Constant& x, const Constant& indices, std::size_t axis);
Constant fold_concat(std::span<const ConstantPtr> parts, std::size_t axis);

}  // namespace hearth::nn
