#include "service/wire/input_batch.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::service {
namespace {

using Shape = std::vector<std::int64_t>;

Shape without_ones(std::span<const std::int64_t> shape) {
  Shape out;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(out), [](std::int64_t extent) { return extent != 1; });
  return out;
}

std::size_t element_count(std::span<const std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

}  // namespace

std::size_t count_inputs(const NpyArray& array, std::span<const std::int64_t> input_shape, const std::string& file) {
  const Shape wanted = without_ones(input_shape);
  if (without_ones(array.shape) == wanted) return 1;
  const bool batch =
      !array.shape.empty() && array.shape[0] > 0 && without_ones(std::span(array.shape).subspan(1)) == wanted;
  Shape expected(input_shape.begin(), input_shape.end());
  if (!expected.empty() && expected.front() == 1) expected.erase(expected.begin());
  require(batch, ErrorKind::kMismatch,
          "{} has shape {}, but the model's input has shape {}: give one input of that shape, or several stacked along "
          "a new first dimension",
          file, format_shape(array.shape), format_shape(expected));
  return static_cast<std::size_t>(array.shape[0]);
}

std::span<const float> input_at(const NpyArray& array, std::span<const std::int64_t> input_shape, std::size_t index) {
  const std::size_t each = element_count(input_shape);
  require(index < array.values.size() / each, ErrorKind::kInternal, "input {} of an array of {} elements", index,
          array.values.size());
  return std::span(array.values).subspan(index * each, each);
}

std::string format_shape(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace hearth::service
