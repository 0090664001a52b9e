#include "service/image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/error.h"
#include "base/parallel.h"

namespace hearth::service {
namespace {

constexpr int kFractionBits =
    22;  // 8 bits of samples and 22 of weights leave room for the sum of weights to be above 1

/// One sample of the result: weights of the samples from `first` on, which add up to about 2^kFractionBits.
struct Taps {
  std::size_t first = 0;
  std::vector<std::int32_t> weights;
};

/// `scale`: samples of the image to one of the result.
Taps taps_of(std::int64_t index, double scale, int extent) {
  const double support = std::max(scale, 1.0);
  const double centre = (static_cast<double>(index) + 0.5) * scale;
  const int first = std::max(0, static_cast<int>(std::floor(centre - support + 0.5)));
  const int last = std::min(extent, static_cast<int>(std::floor(centre + support + 0.5)));
  std::vector<double> weights;
  double sum = 0;
  for (int i = first; i < last; ++i) {
    weights.push_back(std::max(0.0, 1 - std::abs((i - centre + 0.5) / support)));
    sum += weights.back();
  }
  Taps taps{.first = static_cast<std::size_t>(first), .weights = {}};
  for (const double weight : weights) {
    taps.weights.push_back(static_cast<std::int32_t>(std::lround(weight / sum * (1 << kFractionBits))));
  }
  return taps;
}

std::vector<Taps> all_taps(std::int64_t start, int count, std::int64_t result, int extent) {
  std::vector<Taps> out;
  out.reserve(static_cast<std::size_t>(count));
  const double scale = static_cast<double>(extent) / static_cast<double>(result);
  for (int i = 0; i < count; ++i) out.push_back(taps_of(start + i, scale, extent));
  return out;
}

/// The weighted sum of samples that are `stride` apart.
std::uint8_t weighted(const std::uint8_t* samples, std::size_t stride, const Taps& taps) {
  std::int32_t sum = 1 << (kFractionBits - 1);
  for (std::size_t i = 0; i < taps.weights.size(); ++i) sum += samples[i * stride] * taps.weights[i];
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

/// Rows [first, first + count) of the image, made narrower or wider.
Image resample_rows(const Image& image, const std::vector<Taps>& columns, std::size_t first, std::size_t count) {
  const auto channels = static_cast<std::size_t>(image.channels);
  const std::size_t from_row = static_cast<std::size_t>(image.width) * channels, to_row = columns.size() * channels;
  Image out{.width = static_cast<int>(columns.size()),
            .height = static_cast<int>(count),
            .channels = image.channels,
            .samples = std::vector<std::uint8_t>(count * to_row)};
  parallel_for(0, count, [&](std::size_t y) {
    const std::uint8_t* from = image.samples.data() + (first + y) * from_row;
    std::uint8_t* to = out.samples.data() + y * to_row;
    for (const Taps& taps : columns) {
      for (std::size_t c = 0; c < channels; ++c) *to++ = weighted(from + taps.first * channels + c, channels, taps);
    }
  });
  return out;
}

/// `first`: the row of the original that is the image's row 0.
Image resample_columns(const Image& image, const std::vector<Taps>& rows, std::size_t first) {
  const std::size_t row = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  Image out{.width = image.width,
            .height = static_cast<int>(rows.size()),
            .channels = image.channels,
            .samples = std::vector<std::uint8_t>(rows.size() * row)};
  for (std::size_t y = 0; y < rows.size(); ++y) {
    const std::uint8_t* from = image.samples.data() + (rows[y].first - first) * row;
    for (std::size_t i = 0; i < row; ++i) out.samples[y * row + i] = weighted(from + i, row, rows[y]);
  }
  return out;
}

}  // namespace

Image resample(const Image& image, std::int64_t width, std::int64_t height, const Window& window) {
  const bool inside = window.width > 0 && window.height > 0 && window.left >= 0 && window.top >= 0 &&
                      window.left <= width - window.width && window.top <= height - window.height;
  require(inside, ErrorKind::kInvalidArgument, "a window of {} x {} at {}, {} of an image of {} x {} pixels",
          window.width, window.height, window.left, window.top, width, height);
  const std::vector<Taps> columns = all_taps(window.left, window.width, width, image.width);
  const std::vector<Taps> rows = all_taps(window.top, window.height, height, image.height);
  const std::size_t first = rows.front().first, end = rows.back().first + rows.back().weights.size();
  return resample_columns(resample_rows(image, columns, first, end - first), rows, first);
}

}  // namespace hearth::service
