#include "service/image/recipe.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "service/image/resample.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"
#include "tests/service/image_files.h"

namespace hearth::service {
namespace {

using testing::ramp_image;
using Shape = std::vector<std::int64_t>;

TEST(TakesImages, OneOrThreeChannelsAndTwoSides) {
  EXPECT_TRUE(takes_images(Shape{1, 3, 224, 224}));
  EXPECT_TRUE(takes_images(Shape{1, 1, 28, 28}));
  for (const Shape& shape : {Shape{1, 2, 8, 8}, Shape{1, 8, 8, 3}, Shape{2, 3, 8, 8}, Shape{3, 8, 8}, Shape{1, 64},
                             Shape{}, Shape{1, 3, 1 << 20, 8}}) {
    EXPECT_FALSE(takes_images(shape));
    EXPECT_EQ(default_resize(shape), 0);
    expect_error(ErrorKind::kUnsupported, "no image", [&] { image_recipe(shape, 0); });
  }
}

TEST(ImageRecipe, MustFillTheInput) {
  const Shape shape{1, 3, 20, 30};
  EXPECT_EQ(default_resize(shape), 30);
  EXPECT_EQ(image_recipe(shape, 32), (ImageRecipe{.channels = 3, .height = 20, .width = 30, .resize = 32}));
  EXPECT_EQ(image_recipe(shape, 0).resize, 0);
  for (const int resize : {-1, 1, 29, kMaxResize + 1}) {
    expect_error(ErrorKind::kInvalidArgument, "must become 30 to 65536", [&] { image_recipe(shape, resize); });
  }
}

float value(const std::vector<float>& values, const ImageRecipe& recipe, int channel, int y, int x) {
  return values[static_cast<std::size_t>((channel * recipe.height + y) * recipe.width + x)];
}

TEST(Prepare, CutsOutTheMiddleChannelByChannel) {
  const Image image = ramp_image(13, 11);
  const ImageRecipe recipe{.channels = 3, .height = 8, .width = 9, .resize = 0};
  bool enlarged = true;
  const std::vector<float> values = prepare(image, recipe, "photo", &enlarged);
  EXPECT_FALSE(enlarged);
  ASSERT_EQ(values.size(), 3U * 8 * 9);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 9; ++x) {
        const int from = ((y + 2) * 13 + x + 2) * 3 + c;  // (11 - 8) / 2 = 1.5 is rounded to even
        EXPECT_EQ(value(values, recipe, c, y, x), image.samples[static_cast<std::size_t>(from)]);
      }
    }
  }
}

TEST(Prepare, HalvesAreRoundedToEvenAsInTorchvision) {
  const ImageRecipe recipe{.channels = 1, .height = 8, .width = 8, .resize = 0};
  for (const auto& [extent, first] : {std::pair{8, 0}, {9, 0}, {10, 1}, {11, 2}, {12, 2}, {13, 2}, {15, 4}}) {
    Image image{.width = extent, .height = 8, .channels = 1, .samples = {}};
    for (int i = 0; i < 8 * extent; ++i) image.samples.push_back(static_cast<std::uint8_t>(i % extent));
    EXPECT_EQ(prepare(image, recipe, "photo").front(), static_cast<float>(first)) << extent;
  }
}

TEST(Prepare, ResizesTheShorterSideAndKeepsProportions) {
  const Image wide = ramp_image(100, 41);
  const ImageRecipe recipe{.channels = 3, .height = 16, .width = 16, .resize = 20};
  const Image resized =
      resample(wide, 48, 20, {.left = 16, .top = 2, .width = 16, .height = 16});  // 20 * 100 / 41 = 48.8
  const std::vector<float> values = prepare(wide, recipe, "photo");
  for (int y = 0; y < 16; ++y)
    EXPECT_EQ(value(values, recipe, 1, y, 3), resized.samples[static_cast<std::size_t>((y * 16 + 3) * 3 + 1)]);
  const Image high = ramp_image(41, 100);
  const Image turned = resample(high, 20, 48, {.left = 2, .top = 16, .width = 16, .height = 16});
  EXPECT_EQ(prepare(high, recipe, "photo").front(), turned.samples.front());
}

TEST(Prepare, GreyModelsGetLuma) {
  const Image image = ramp_image(12, 12);
  const ImageRecipe recipe{.channels = 1, .height = 8, .width = 8, .resize = 8};
  EXPECT_EQ(prepare(image, recipe, "photo"), prepare(to_luma(image), recipe, "photo"));
  EXPECT_EQ(prepare(image, recipe, "photo").size(), 64U);
}

TEST(Prepare, SaysWhenImagesGrow) {
  const ImageRecipe recipe{.channels = 3, .height = 16, .width = 16, .resize = 16};
  for (const auto& [width, height, grown] :
       {std::tuple{16, 16, false}, {15, 30, true}, {30, 15, true}, {17, 90, false}}) {
    bool enlarged = !grown;
    prepare(ramp_image(width, height), recipe, "photo", &enlarged);
    EXPECT_EQ(enlarged, grown) << width << " x " << height;
  }
}

TEST(Prepare, TinyImagesAreRefused) {
  const ImageRecipe recipe{.channels = 3, .height = 16, .width = 16, .resize = 16};
  expect_error(ErrorKind::kInvalidArgument, "photo has only 7 x 100 pixels",
               [&] { prepare(ramp_image(7, 100), recipe, "photo"); });
  expect_error(ErrorKind::kInvalidArgument, "at least 8 a side", [&] { prepare(ramp_image(100, 1), recipe, "photo"); });
  EXPECT_NO_THROW(prepare(ramp_image(8, 100), recipe, "photo"));
}

TEST(Prepare, WithoutResizingImagesMustBeLargeEnough) {
  const ImageRecipe recipe{.channels = 3, .height = 16, .width = 20, .resize = 0};
  expect_error(ErrorKind::kInvalidArgument, "--image-resize 20", [&] { prepare(ramp_image(19, 16), recipe, "photo"); });
  expect_error(ErrorKind::kInvalidArgument, "20 x 16", [&] { prepare(ramp_image(20, 15), recipe, "photo"); });
  EXPECT_NO_THROW(prepare(ramp_image(20, 16), recipe, "photo"));
}

TEST(ReadImages, StacksFilesInTheirOrder) {
  const TemporaryFolder folder;
  const Image a = ramp_image(16, 16), b = ramp_image(10, 12, 1);
  write_file_atomic(folder / "a.png", testing::png_file(a));
  write_file_atomic(folder / "b.jpg",
                    testing::jpeg_file(10, 12, b.samples, {.colours = JCS_GRAYSCALE, .components = 1}));
  const ImageRecipe recipe = image_recipe(Shape{1, 3, 16, 16}, 16);
  const std::vector<std::string> files{(folder / "a.png").string(), (folder / "b.jpg").string()};
  const ImageBatch batch = read_images(files, recipe);
  EXPECT_EQ(batch.inputs.shape, (Shape{2, 3, 16, 16}));
  ASSERT_EQ(batch.inputs.values.size(), 2U * 3 * 16 * 16);
  const std::vector<float> first = prepare(a, recipe, "a");
  EXPECT_TRUE(std::equal(first.begin(), first.end(), batch.inputs.values.begin()));
  ASSERT_EQ(batch.notes.size(), 2U);
  EXPECT_FALSE(batch.notes[0].enlarged);
  EXPECT_TRUE(batch.notes[1].enlarged);
  EXPECT_EQ(batch.notes[1].width, 10);
  EXPECT_EQ(batch.notes[1].height, 12);
  ASSERT_EQ(batch.warnings.size(), 1U);
  EXPECT_NE(batch.warnings[0].find("b.jpg has 10 x 12 pixels"), std::string::npos) << batch.warnings[0];
}

TEST(ReadImages, NamesTheFileThatIsWrong) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "text.png", std::string_view("hello"));
  const ImageRecipe recipe = image_recipe(Shape{1, 3, 16, 16}, 16);
  const std::vector<std::string> text{(folder / "text.png").string()}, none{(folder / "none.png").string()};
  expect_error(ErrorKind::kUnsupported, "text.png is neither PNG nor JPEG", [&] { read_images(text, recipe); });
  expect_error(ErrorKind::kIo, "none.png", [&] { read_images(none, recipe); });
}

}  // namespace
}  // namespace hearth::service
