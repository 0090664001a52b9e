#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/npy.h"
#include "service/image/image.h"

/// How an image of any size becomes the input of a network.
namespace hearth::service {

/// The shorter side is resized to `resize` (the longer one in proportion, rounded down, as torchvision's Resize does;
/// 0: nothing is resized), then height x width pixels are cut out of the middle (as its CenterCrop does). Colours
/// become luma first where the network has one channel.
struct ImageRecipe {
  int channels = 3;  ///< 1 or 3
  int height = 0, width = 0;
  int resize = 0;

  bool operator==(const ImageRecipe&) const = default;
};

/// Sides of images below this hold no picture; they are refused.
inline constexpr int kMinImageSide = 8;
inline constexpr int kMaxResize = 1 << 16;  ///< as in client bundles

/// Whether a network takes images: {1, 1 or 3, height, width}.
bool takes_images(std::span<const std::int64_t> input_shape);
/// The smallest `resize` at which images of any proportions fill the input: its larger side. 0 if it is no image.
int default_resize(std::span<const std::int64_t> input_shape);
/// Error(kUnsupported) naming the shape unless takes_images(); Error(kInvalidArgument) if images resized so would not
/// fill the input (below default_resize, but not 0), or above kMaxResize.
ImageRecipe image_recipe(std::span<const std::int64_t> input_shape, int resize);

/// Values 0 to 255 in row-major order of {1, channels, height, width}. Error(kInvalidArgument) naming the image
/// (`name`) if a side is below kMinImageSide, or if without resizing it is smaller than the input. `enlarged`, if not
/// null: whether it had to grow.
std::vector<float> prepare(Image image, const ImageRecipe& recipe, const std::string& name, bool* enlarged = nullptr);

/// What became of a file.
struct ImageNote {
  std::string file;
  int width = 0, height = 0;  ///< upright
  bool enlarged = false;
};

struct ImageBatch {
  NpyArray inputs;  ///< {files, channels, height, width}, before normalisation
  std::vector<ImageNote> notes;
  std::vector<std::string> warnings;  ///< one sentence each
};

/// Reads and prepares at least one file, one after another. Errors are those of read_image and prepare.
ImageBatch read_images(std::span<const std::string> files, const ImageRecipe& recipe);

}  // namespace hearth::service
