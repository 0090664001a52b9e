#include "service/wire/input_batch.h"

#include <algorithm>
#include <optional>

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

/// {1, C, H, W} as {H, W, C}, nothing for other ranks.
std::optional<Shape> channels_last(std::span<const std::int64_t> shape) {
  if (shape.size() != 4) return std::nullopt;
  return Shape{shape[2], shape[3], shape[1]};
}

/// How many inputs of shape `wanted` an array holds, 0 when it holds something else.
std::size_t count_of(const NpyArray& array, std::span<const std::int64_t> wanted) {
  const Shape bare = without_ones(wanted);
  if (without_ones(array.shape) == bare) return 1;
  const bool batch =
      !array.shape.empty() && array.shape[0] > 0 && without_ones(std::span(array.shape).subspan(1)) == bare;
  return batch ? static_cast<std::size_t>(array.shape[0]) : 0;
}

}  // namespace

std::size_t count_inputs(const NpyArray& array, std::span<const std::int64_t> input_shape, const std::string& file) {
  std::size_t count = count_of(array, input_shape);
  if (const auto last = channels_last(input_shape); count == 0 && last) count = count_of(array, *last);
  require(count > 0, ErrorKind::kMismatch,
          "{} has shape {}, but the model's input has shape {}: give one input of that shape, or several stacked along "
          "a new first dimension; images may have their channels last",
          file, format_shape(array.shape), format_shape(input_shape));
  return count;
}

std::vector<float> input_at(const NpyArray& array, std::span<const std::int64_t> input_shape, std::size_t index) {
  const std::size_t each = element_count(input_shape);
  require(index < array.values.size() / each, ErrorKind::kInternal, "input {} of an array of {} elements", index,
          array.values.size());
  const std::span<const float> values = std::span(array.values).subspan(index * each, each);
  std::vector<float> out(values.begin(), values.end());
  if (count_of(array, input_shape) > 0) return out;
  const auto channels = static_cast<std::size_t>(input_shape[1]), pixels = each / channels;
  for (std::size_t i = 0; i < each; ++i) out[i % channels * pixels + i / channels] = values[i];
  return out;
}

void check_normalisation(const compiler::Normalisation& normalisation, std::span<const std::int64_t> input_shape) {
  const auto channels = static_cast<std::size_t>(input_shape.size() > 1 ? input_shape[1] : 1);
  for (const auto& list : {normalisation.mean, normalisation.deviation}) {
    require(list.size() <= 1 || list.size() == channels, ErrorKind::kInvalidArgument,
            "{} numbers normalise an input of {} channels (shape {}): give one number, or one a channel", list.size(),
            channels, format_shape(input_shape));
  }
  const auto is_zero = [](double value) { return value == 0; };
  require(normalisation.divisor != 0 &&
              std::none_of(normalisation.deviation.begin(), normalisation.deviation.end(), is_zero),
          ErrorKind::kInvalidArgument, "inputs cannot be normalised by dividing by zero");
}

std::vector<float> normalised(std::span<const float> input, const compiler::Normalisation& normalisation,
                              std::span<const std::int64_t> input_shape) {
  check_normalisation(normalisation, input_shape);
  const auto channels = static_cast<std::size_t>(input_shape.size() > 1 ? input_shape[1] : 1);
  const std::size_t each = std::max<std::size_t>(input.size() / channels, 1);
  const auto entry = [](const std::vector<double>& list, std::size_t channel, double absent) {
    return list.empty() ? absent : list.size() == 1 ? list.front() : list[channel];
  };
  std::vector<float> out(input.size());
  for (std::size_t i = 0; i < input.size(); ++i) {
    const std::size_t channel = i / each;
    const double centred = input[i] / normalisation.divisor - entry(normalisation.mean, channel, 0);
    out[i] = static_cast<float>(centred / entry(normalisation.deviation, channel, 1));
  }
  return out;
}

std::string format_shape(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace hearth::service
