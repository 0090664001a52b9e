#include <cmath>

#include "base/file.h"
#include "base/npy.h"
#include "tests/cli/shell.h"
#include "tests/service/image_files.h"

// Photographs in, names of classes out: the bundled model of 8 x 8 digits, told that its inputs are grey levels.
namespace hearth {
namespace {

using cli::Json;
using service::Image;
using testing::Outcome;
using testing::Shell;

constexpr double kLogitTolerance = 2e-3;  // as in digits_test.cpp
constexpr int kSide = 8;

/// Bundled images as grey levels.
NpyArray levels(const std::string& file) {
  NpyArray array = read_npy(file);
  for (float& value : array.values) value = std::round(255 * value);
  return array;
}

/// A digit, each pixel as `size` x `size` of them.
Image digit(std::size_t index, int size) {
  const NpyArray all = levels("models/digits_images.npy");
  Image image{.width = kSide * size, .height = kSide * size, .channels = 1, .samples = {}};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::size_t pixel = index * kSide * kSide + static_cast<std::size_t>(y / size * kSide + x / size);
      image.samples.push_back(static_cast<std::uint8_t>(all.values[pixel]));
    }
  }
  return image;
}

void write_calibration(const std::filesystem::path& file) {
  const NpyArray calibration = levels("models/digits_calibration.npy");
  write_npy(file, calibration.shape, calibration.values);
}

/// A compiled model, keys and images, made once.
class Images : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = new Shell;
    write_calibration(*shell_ / "calibration.npy");
    write_file_atomic(*shell_ / "names.txt",
                      std::string_view("zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nn\xc3\xbcne\n"));
    write_file_atomic(*shell_ / "nine.json", std::string_view(R"(["1", "2", "3", "4", "5", "6", "7", "8", "9"])"));
    for (const std::size_t i : {0, 1, 2}) {
      write_file_atomic(*shell_ / ("digit" + std::to_string(i) + ".png"), testing::png_file(digit(i, 1)));
    }
    const Image large = digit(0, 40);
    const testing::FileBytes jpeg = testing::jpeg_file(large.width, large.height, large.samples,
                                                       {.colours = JCS_GRAYSCALE, .components = 1, .quality = 95});
    write_file_atomic(*shell_ / "large.jpg", jpeg);
    write_file_atomic(*shell_ / "cut.jpg", std::span(jpeg).first(jpeg.size() / 2));
    write_file_atomic(*shell_ / "tiny.png", testing::png_file(testing::ramp_image(7, 90)));
    shell_->json(compile("--classes \"$D/names.txt\" -o \"$D/out\""));
    shell_->json("keygen \"$D/out/client.hearth\" -o \"$D/keys\"");
  }
  static void TearDownTestSuite() { delete shell_; }

  static std::string compile(const std::string& options) {
    return "compile models/digits.onnx --calibration \"$D/calibration.npy\" --divide 255 " + options;
  }
  static std::string encrypt(const std::string& options, const std::string& output = "input.ct") {
    return "encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" -o \"$D/" + output + "\" " + options;
  }
  static std::string decrypt(const std::string& options = "") {
    return "decrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input \"$D/output.ct\" " + options;
  }
  /// Encrypts, evaluates and decrypts.
  static Json answer(const std::string& inputs) {
    shell_->json(encrypt(inputs));
    shell_->json(
        "run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input \"$D/input.ct\" -o "
        "\"$D/output.ct\"");
    return shell_->json(decrypt());
  }

  static Shell* shell_;
};

Shell* Images::shell_ = nullptr;

TEST_F(Images, GiveTheLogitsOfTheirPixels) {
  const NpyArray pixels = levels("models/digits_images.npy");
  write_npy(*shell_ / "pixels.npy", pixels.shape, pixels.values);
  const Json expected = answer("--input \"$D/pixels.npy\" --count 3");
  const Json from_images = answer("--image \"$D/digit0.png\" \"$D/digit1.png\" --image \"$D/digit2.png\"");
  EXPECT_EQ(from_images.at("top_class"), expected.at("top_class"));
  ASSERT_EQ(from_images.at("values").size(), 30U);
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_NEAR(from_images.at("values")[i].get<double>(), expected.at("values")[i].get<double>(), kLogitTolerance);
  }
}

TEST_F(Images, OfOtherSizesAreFitted) {
  const Json small = answer("--image \"$D/digit0.png\""), large = answer("--image \"$D/large.jpg\"");
  EXPECT_EQ(large.at("top_class"), small.at("top_class"));
  const Json report = shell_->json(encrypt("--image \"$D/large.jpg\""));
  EXPECT_EQ(report.at("images")[0].at("width"), 320);
  EXPECT_EQ(report.at("images")[0].at("enlarged"), false);
}

TEST_F(Images, DecryptNamesTheLikeliestClasses) {
  const Json json = answer("--image \"$D/digit0.png\"");
  ASSERT_EQ(json.at("top").size(), 1U);
  const Json& top = json.at("top")[0];
  ASSERT_EQ(top.size(), 5U);
  const char* const names[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "n\xc3\xbcne"};
  double last = 1;
  for (const Json& entry : top) {
    EXPECT_EQ(entry.at("name"), names[entry.at("class").get<std::size_t>()]);
    EXPECT_LE(entry.at("probability").get<double>(), last);
    last = entry.at("probability").get<double>();
  }
  EXPECT_EQ(top[0].at("class"), json.at("top_class")[0]);
  const Outcome text = shell_->hearth(decrypt("--top 2"));
  EXPECT_TRUE(text.out.starts_with("input 0\n")) << text.out;
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 3) << text.out;
  EXPECT_NE(text.out.find(": " + top[0].at("name").get<std::string>() + "\n"), std::string::npos) << text.out;
  EXPECT_EQ(shell_->json(decrypt("--top 99")).at("top")[0].size(), 10U);
}

TEST_F(Images, UnusableOnesAreRefusedByName) {
  shell_->refuses(encrypt("--image README.md", "never.ct"), "README.md is neither PNG nor JPEG");
  shell_->refuses(encrypt("--image \"$D/none.png\"", "never.ct"), "none.png: No such file");
  shell_->refuses(encrypt("--image \"$D/cut.jpg\"", "never.ct"), "cut.jpg is no JPEG image that can be decoded");
  shell_->refuses(encrypt("--image \"$D/digit0.png\" \"$D/tiny.png\"", "never.ct"), "tiny.png has only 7 x 90 pixels");
  shell_->refuses(encrypt("--image models/digits_images.npy", "never.ct"), "--input");
  EXPECT_FALSE(shell_->exists("never.ct"));
  shell_->refuses(encrypt("--image \"$D/digit0.png\"", "digit0.png"), "is the input");
}

TEST_F(Images, GoInsteadOfArrays) {
  shell_->refuses(encrypt(""), "1 option from", cli::kUsage);
  shell_->refuses(encrypt("--image \"$D/digit0.png\" --input models/digits_images.npy"), "1 option", cli::kUsage);
  shell_->refuses(encrypt("--image \"$D/digit0.png\" --index 0"), "excludes", cli::kUsage);
  shell_->refuses(encrypt("--image \"$D/digit0.png\" --count 1"), "excludes", cli::kUsage);
  shell_->refuses("infer models/digits.onnx --image \"$D/digit0.png\"", "--calibration", cli::kUsage);
  shell_->refuses("infer models/digits.onnx", "1 option from", cli::kUsage);
}

TEST_F(Images, CompileRecordsSizeAndNames) {
  const Json plain = shell_->json("inspect \"$D/out/client.hearth\"");
  EXPECT_EQ(plain.at("image_resize"), kSide);
  EXPECT_EQ(plain.at("classes").size(), 10U);
  const Json same =
      shell_->json(compile("--image-resize 16 --classes \"$D/nine.json\" --class-offset 1 -o \"$D/other\""));
  EXPECT_EQ(same.at("model_id"), plain.at("model_id")) << "the program knows nothing of them";
  const Json other = shell_->json("inspect \"$D/other/client.hearth\"");
  EXPECT_EQ(other.at("image_resize"), 16);
  EXPECT_EQ(other.at("classes")[0], "background");
  EXPECT_EQ(other.at("classes")[9], "9");
  const Outcome outcome = shell_->hearth(
      "encrypt \"$D/other/client.hearth\" --key \"$D/keys/secret.key\" -o \"$D/other.ct\" --image \"$D/digit0.png\"");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("digit0.png has 8 x 8 pixels and had to be enlarged"), std::string::npos) << outcome.err;
}

TEST_F(Images, CompileRefusesWhatDoesNotFit) {
  shell_->refuses(compile("--classes \"$D/nine.json\" -o \"$D/no\""), "give --class-offset 1");
  shell_->refuses(compile("--classes \"$D/names.txt\" --class-offset 1 -o \"$D/no\""), "names 10 classes");
  shell_->refuses(compile("--classes \"$D/large.jpg\" -o \"$D/no\""), "large.jpg");
  shell_->refuses(compile("--class-offset 1 -o \"$D/no\""), "--classes", cli::kUsage);
  shell_->refuses(compile("--image-resize 7 -o \"$D/no\""), "must become 8 to 65536");
  shell_->refuses(compile("--image-resize -1 -o \"$D/no\""), "--image-resize", cli::kUsage);
  EXPECT_FALSE(shell_->exists("no"));
}

TEST_F(Images, InferTakesThem) {
  const std::string infer =
      "infer models/digits.onnx --calibration \"$D/calibration.npy\" --divide 255 --classes \"$D/names.txt\" --quiet "
      "--image \"$D/digit1.png\" \"$D/large.jpg\" ";
  const Json json = shell_->json(infer + "--image-resize 12");
  EXPECT_EQ(json.at("agree"), 2);
  EXPECT_LT(json.at("largest_error").get<double>(), kLogitTolerance);
  EXPECT_TRUE(json.at("images")[1].at("file").get<std::string>().ends_with("large.jpg"));
  EXPECT_EQ(json.at("images")[0].at("top").size(), 5U);
  EXPECT_EQ(json.at("encrypt").at("images")[0].at("enlarged"), true);
  const Outcome text = shell_->hearth(infer + "--top 1");
  EXPECT_EQ(text.code, 0) << text.err;
  const std::string name = json.at("images")[0].at("top")[0].at("name").get<std::string>();
  for (const std::string& part :
       {std::string("digit1.png\n"), ": " + name + "\n", std::string("2 of 2 as in plaintext")}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
}

}  // namespace
}  // namespace hearth
