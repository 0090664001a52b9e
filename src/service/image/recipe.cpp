#include "service/image/recipe.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "service/image/resample.h"

namespace hearth::service {
namespace {

/// Half the difference, halves rounded to even as Python's round() does in torchvision's CenterCrop.
std::int64_t centred(std::int64_t extent, int part) {
  const std::int64_t spare = extent - part, half = spare / 2;
  return half + (spare % 2 != 0 && half % 2 != 0 ? 1 : 0);
}

/// Width and height after resizing.
std::pair<std::int64_t, std::int64_t> resized_extents(const Image& image, int resize) {
  const std::int64_t width = image.width, height = image.height;
  if (resize == 0) return {width, height};
  return width <= height ? std::pair<std::int64_t, std::int64_t>{resize, resize * height / width}
                         : std::pair<std::int64_t, std::int64_t>{resize * width / height, resize};
}

/// Channel after channel.
std::vector<float> planar(const Image& image) {
  const auto channels = static_cast<std::size_t>(image.channels), pixels = image.samples.size() / channels;
  std::vector<float> out(image.samples.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i % channels * pixels + i / channels] = image.samples[i];
  return out;
}

void check_extents(const Image& image, const ImageRecipe& recipe, const std::string& name) {
  require(std::min(image.width, image.height) >= kMinImageSide, ErrorKind::kInvalidArgument,
          "{} has only {} x {} pixels: give an image of at least {} a side", name, image.width, image.height,
          kMinImageSide);
  require(recipe.resize > 0 || (image.width >= recipe.width && image.height >= recipe.height),
          ErrorKind::kInvalidArgument,
          "{} has {} x {} pixels, fewer than the {} x {} of the model's input, and was not to be resized: give a "
          "larger image, or compile with --image-resize {}",
          name, image.width, image.height, recipe.width, recipe.height, std::max(recipe.width, recipe.height));
}

}  // namespace

bool takes_images(std::span<const std::int64_t> shape) {
  const auto fits = [](std::int64_t extent) { return extent >= 1 && extent <= kMaxResize; };
  return shape.size() == 4 && shape[0] == 1 && (shape[1] == 1 || shape[1] == 3) && fits(shape[2]) && fits(shape[3]);
}

int default_resize(std::span<const std::int64_t> shape) {
  return takes_images(shape) ? static_cast<int>(std::max(shape[2], shape[3])) : 0;
}

ImageRecipe image_recipe(std::span<const std::int64_t> shape, int resize) {
  require(takes_images(shape), ErrorKind::kUnsupported,
          "the model's input has shape [{}], which is no image: images need [1, 1 or 3, rows, columns]; give inputs as "
          ".npy",
          fmt::join(shape, ", "));
  require(
      resize == 0 || (resize >= default_resize(shape) && resize <= kMaxResize), ErrorKind::kInvalidArgument,
      "images cannot be resized to {} pixels for a model that takes {} rows and {} columns: their shorter side must "
      "become {} to {}, or 0 for no resizing",
      resize, shape[2], shape[3], default_resize(shape), kMaxResize);
  return {.channels = static_cast<int>(shape[1]),
          .height = static_cast<int>(shape[2]),
          .width = static_cast<int>(shape[3]),
          .resize = resize};
}

std::vector<float> prepare(Image image, const ImageRecipe& recipe, const std::string& name, bool* enlarged) {
  check_extents(image, recipe, name);
  if (enlarged) *enlarged = recipe.resize > std::min(image.width, image.height);
  if (recipe.channels == 1) image = to_luma(std::move(image));
  const auto [width, height] = resized_extents(image, recipe.resize);
  return planar(resample(image, width, height,
                         {.left = centred(width, recipe.width),
                          .top = centred(height, recipe.height),
                          .width = recipe.width,
                          .height = recipe.height}));
}

ImageBatch read_images(std::span<const std::string> files, const ImageRecipe& recipe) {
  ImageBatch out;
  out.inputs.shape = {static_cast<std::int64_t>(files.size()), recipe.channels, recipe.height, recipe.width};
  for (const std::string& file : files) {
    Image image = read_image(file);
    ImageNote note{.file = file, .width = image.width, .height = image.height};
    const std::vector<float> values = prepare(std::move(image), recipe, file, &note.enlarged);
    out.inputs.values.insert(out.inputs.values.end(), values.begin(), values.end());
    if (note.enlarged) {
      out.warnings.push_back(
          fmt::format("{} has {} x {} pixels and had to be enlarged: expect worse results than from a larger image",
                      file, note.width, note.height));
    }
    out.notes.push_back(std::move(note));
  }
  return out;
}

}  // namespace hearth::service
