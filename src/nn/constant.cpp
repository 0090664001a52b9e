#include "nn/constant.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace hearth::nn {

namespace {

template <typename... Args>
void expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  require(condition, ErrorKind::kInvalidArgument, format, std::forward<Args>(args)...);
}

/// Strides that read `own` as if it had been broadcast to `shape`.
std::vector<std::int64_t> broadcast_strides(const Shape& own, const Shape& shape) {
  const std::vector<std::int64_t> strides = row_major_strides(own);
  std::vector<std::int64_t> out(shape.size(), 0);
  const std::size_t lead = shape.size() - own.size();
  for (std::size_t i = 0; i < own.size(); ++i) out[lead + i] = own[i] == 1 ? 0 : strides[i];
  return out;
}

std::int64_t integer_op(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool overflow = false;
  if (op == "Add") {
    overflow = __builtin_add_overflow(a, b, &out);
  } else if (op == "Sub") {
    overflow = __builtin_sub_overflow(a, b, &out);
  } else if (op == "Mul") {
    overflow = __builtin_mul_overflow(a, b, &out);
  } else if (op == "Div" || op == "Mod") {
    expect(b != 0, "integer division by zero");
    overflow = b == -1 && a == std::numeric_limits<std::int64_t>::min();
    if (!overflow && op == "Div") out = a / b;
    if (!overflow && op == "Mod") out = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
  } else if (op == "Min") {
    out = std::min(a, b);
  } else if (op == "Max") {
    out = std::max(a, b);
  } else if (op == "And") {
    out = a != 0 && b != 0;
  } else if (op == "Or") {
    out = a != 0 || b != 0;
  } else {
    fail(ErrorKind::kUnsupported, "{} of integers is not supported", op);
  }
  expect(!overflow, "integer overflow in {} of {} and {}", op, a, b);
  return out;
}

float float_op(std::string_view op, float a, float b) {
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return a / b;
  if (op == "Pow") return std::pow(a, b);
  if (op == "Min") return std::min(a, b);
  if (op == "Max") return std::max(a, b);
  fail(ErrorKind::kUnsupported, "{} of floats is not supported", op);
}

template <typename T>
bool compare(std::string_view op, T a, T b) {
  return op == "Equal" ? a == b : op == "Less" ? a < b : a > b;
}

bool is_comparison(std::string_view op) { return op == "Equal" || op == "Less" || op == "Greater"; }

float unary_op(std::string_view op, float x) {
  if (op == "Neg") return -x;
  if (op == "Abs") return std::abs(x);
  if (op == "Floor") return std::floor(x);
  if (op == "Ceil") return std::ceil(x);
  if (op == "Sqrt") return std::sqrt(x);
  if (op == "Reciprocal") return 1.0F / x;
  if (op == "Identity") return x;
  fail(ErrorKind::kUnsupported, "{} of floats is not supported", op);
}

std::int64_t unary_op(std::string_view op, std::int64_t x) {
  if (op == "Neg") return integer_op("Sub", 0, x);
  if (op == "Abs") return x < 0 ? integer_op("Sub", 0, x) : x;
  if (op == "Not") return x == 0;
  if (op == "Floor" || op == "Ceil" || op == "Identity") return x;
  fail(ErrorKind::kUnsupported, "{} of integers is not supported", op);
}

std::int64_t to_integer_checked(float x) {
  expect(std::isfinite(x) && std::abs(x) < 0x1p62F, "{} cannot be cast to an integer", x);
  return static_cast<std::int64_t>(x);
}

}  // namespace

std::int64_t Constant::count() const {
  return std::visit([](const auto& values) { return static_cast<std::int64_t>(values.size()); }, data);
}

const std::vector<float>& Constant::floats() const {
  expect(!is_integer(), "expected float values, got integers of shape {}", to_string(shape));
  return std::get<0>(data);
}

const std::vector<std::int64_t>& Constant::integers() const {
  expect(is_integer(), "expected integers, got float values of shape {}", to_string(shape));
  return std::get<1>(data);
}

Constant integer_vector(std::vector<std::int64_t> values) {
  Shape shape = {static_cast<std::int64_t>(values.size())};
  return {std::move(shape), std::move(values)};
}

Constant make_constant(Tensor tensor) { return {std::move(tensor.shape), std::move(tensor.data)}; }

Constant fold_binary(std::string_view op, const Constant& a, const Constant& b) {
  expect(a.is_integer() == b.is_integer(), "{} of an integer and a float constant", op);
  const Shape shape = broadcast_shape(a.shape, b.shape);
  const Constant x = fold_expand(a, shape);
  const Constant y = fold_expand(b, shape);
  if (is_comparison(op)) {
    std::vector<std::int64_t> out(static_cast<std::size_t>(x.count()));
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] =
          x.is_integer() ? compare(op, x.integers()[i], y.integers()[i]) : compare(op, x.floats()[i], y.floats()[i]);
    }
    return {shape, std::move(out)};
  }
  if (x.is_integer()) {
    std::vector<std::int64_t> out;
    std::ranges::transform(x.integers(), y.integers(), std::back_inserter(out),
                           [&](std::int64_t u, std::int64_t v) { return integer_op(op, u, v); });
    return {shape, std::move(out)};
  }
  std::vector<float> out;
  std::ranges::transform(x.floats(), y.floats(), std::back_inserter(out),
                         [&](float u, float v) { return float_op(op, u, v); });
  return {shape, std::move(out)};
}

Constant fold_unary(std::string_view op, const Constant& x) {
  Constant out = x;
  std::visit(
      [&](auto& values) {
        for (auto& value : values) value = unary_op(op, value);
      },
      out.data);
  return out;
}

Constant fold_where(const Constant& condition, const Constant& a, const Constant& b) {
  expect(a.is_integer() == b.is_integer(), "Where of an integer and a float constant");
  const Shape shape = broadcast_shape(condition.shape, broadcast_shape(a.shape, b.shape));
  const Constant chosen = fold_expand(condition, shape);
  Constant out = fold_expand(a, shape);
  const Constant other = fold_expand(b, shape);
  std::visit(
      [&](auto& values) {
        const auto& alternatives = std::get<std::decay_t<decltype(values)>>(other.data);
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (chosen.integers()[i] == 0) values[i] = alternatives[i];
        }
      },
      out.data);
  return out;
}

Constant fold_cast(const Constant& x, bool to_integer) {
  if (x.is_integer() == to_integer) return x;
  if (to_integer) {
    std::vector<std::int64_t> out;
    std::ranges::transform(x.floats(), std::back_inserter(out), to_integer_checked);
    return {x.shape, std::move(out)};
  }
  std::vector<float> out;
  std::ranges::transform(x.integers(), std::back_inserter(out), [](std::int64_t v) { return static_cast<float>(v); });
  return {x.shape, std::move(out)};
}

Constant fold_strided(const Constant& x, const Shape& shape, std::int64_t offset,
                      std::span<const std::int64_t> strides) {
  const auto count = static_cast<std::size_t>(element_count(shape));
  Constant out{shape, {}};
  std::visit(
      [&](const auto& source) {
        std::decay_t<decltype(source)> values;
        values.reserve(count);
        std::vector<std::int64_t> index(shape.size(), 0);
        std::int64_t from = offset;
        while (values.size() < count) {
          values.push_back(source[static_cast<std::size_t>(from)]);
          for (std::size_t axis = shape.size(); axis-- > 0;) {
            from += strides[axis];
            if (++index[axis] < shape[axis]) break;
            from -= strides[axis] * shape[axis];
            index[axis] = 0;
          }
        }
        out.data = std::move(values);
      },
      x.data);
  return out;
}

Constant fold_slice(const Constant& x, const Slice& slice) {
  std::vector<std::int64_t> strides = row_major_strides(x.shape);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    offset += slice.starts[i] * strides[i];
    strides[i] *= slice.steps[i];
  }
  return fold_strided(x, slice.extents, offset, strides);
}

Constant fold_transpose(const Constant& x, std::span<const std::int64_t> permutation) {
  const std::vector<std::int64_t> own = row_major_strides(x.shape);
  Shape shape;
  std::vector<std::int64_t> strides;
  for (const std::int64_t axis : permutation) {
    shape.push_back(x.shape[static_cast<std::size_t>(axis)]);
    strides.push_back(own[static_cast<std::size_t>(axis)]);
  }
  return fold_strided(x, shape, 0, strides);
}

Constant fold_expand(const Constant& x, const Shape& shape) {
  if (x.shape == shape) return x;
  expect(broadcast_shape(x.shape, shape) == shape, "shape {} does not broadcast to {}", to_string(x.shape),
         to_string(shape));
  return fold_strided(x, shape, 0, broadcast_strides(x.shape, shape));
}

Constant fold_reshape(Constant x, Shape shape) {
  expect(element_count(shape) == x.count(), "cannot reshape {} to {}", to_string(x.shape), to_string(shape));
  x.shape = std::move(shape);
  return x;
}

Constant fold_gather(const Constant& x, const Constant& indices, std::size_t axis) {
  const std::int64_t extent = x.shape[axis];
  Shape shape(x.shape.begin(), x.shape.begin() + static_cast<std::ptrdiff_t>(axis));
  const std::int64_t outer = element_count(shape);
  const std::int64_t inner =
      element_count(Shape(x.shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, x.shape.end()));
  shape.insert(shape.end(), indices.shape.begin(), indices.shape.end());
  shape.insert(shape.end(), x.shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, x.shape.end());
  element_count(shape);
  std::vector<std::int64_t> starts;
  for (const std::int64_t index : indices.integers()) {
    expect(index >= -extent && index < extent, "index {} is outside an extent of {}", index, extent);
    starts.push_back((index < 0 ? index + extent : index) * inner);
  }
  Constant out{shape, {}};
  std::visit(
      [&](const auto& source) {
        std::decay_t<decltype(source)> values;
        for (std::int64_t o = 0; o < outer; ++o) {
          for (const std::int64_t start : starts) {
            const auto from = source.begin() + (o * extent * inner + start);
            values.insert(values.end(), from, from + inner);
          }
        }
        out.data = std::move(values);
      },
      x.data);
  return out;
}

Constant fold_concat(std::span<const ConstantPtr> parts, std::size_t axis) {
  Shape shape = parts[0]->shape;
  shape[axis] = 0;
  for (const ConstantPtr& part : parts) {
    Shape rest = part->shape;
    expect(part->is_integer() == parts[0]->is_integer() && rest.size() == shape.size(),
           "constants of different types or ranks cannot be joined");
    rest[axis] = shape[axis];
    expect(rest == shape, "constants of shapes {} and {} cannot be joined along axis {}", to_string(parts[0]->shape),
           to_string(part->shape), axis);
    shape[axis] += part->shape[axis];
    element_count(shape);
  }
  const std::int64_t outer = element_count(Shape(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis)));
  Constant out{shape, {}};
  std::visit(
      [&](const auto& first) {
        using Values = std::decay_t<decltype(first)>;
        Values values;
        for (std::int64_t o = 0; o < outer; ++o) {
          for (const ConstantPtr& part : parts) {
            const auto& source = std::get<Values>(part->data);
            const std::int64_t chunk =
                element_count(Shape(part->shape.begin() + static_cast<std::ptrdiff_t>(axis), part->shape.end()));
            values.insert(values.end(), source.begin() + o * chunk, source.begin() + (o + 1) * chunk);
          }
        }
        out.data = std::move(values);
      },
      parts[0]->data);
  return out;
}

}  // namespace hearth::nn
