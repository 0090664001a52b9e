#include <sys/stat.h>

#include <cmath>

#include "base/container.h"
#include "base/npy.h"
#include "tests/cli/shell.h"

// The whole chain on the bundled model, each step a process of its own over files.
namespace hearth {
namespace {

using cli::Json;
using testing::Outcome;
using testing::Shell;

constexpr double kLogitTolerance = 2e-3;  // logits have a standard deviation of 2.07; 1e-3 of it

/// Compiled bundles, keys and three encrypted images, made once.
class Digits : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = new Shell;
    compiled_ =
        new Json(shell_->json("compile models/digits.onnx --calibration models/digits_calibration.npy -o \"$D/out\""));
    shell_->json("keygen \"$D/out/client.hearth\" -o \"$D/keys\"");
    shell_->json(
        "encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input models/digits_images.npy "
        "--count 3 -o \"$D/input.ct\"");
  }
  static void TearDownTestSuite() {
    delete compiled_;
    delete shell_;
  }

  static std::string run(const std::string& input, const std::string& output,
                         const std::string& keys = "$D/keys/evaluation.key",
                         const std::string& bundle = "$D/out/server.hearth") {
    return "run \"" + bundle + "\" --keys \"" + keys + "\" --input \"$D/" + input + "\" -o \"$D/" + output + "\"";
  }
  static std::string decrypt(const std::string& input, const std::string& key = "$D/keys/secret.key") {
    return "decrypt \"$D/out/client.hearth\" --key \"" + key + "\" --input \"$D/" + input + "\"";
  }

  static Shell* shell_;
  static Json* compiled_;
};

Shell* Digits::shell_ = nullptr;
Json* Digits::compiled_ = nullptr;

TEST_F(Digits, EncryptedLogitsAreThePlaintextOnes) {
  const Json ran = shell_->json(run("input.ct", "output.ct"));
  EXPECT_EQ(ran.at("inputs"), 3);
  EXPECT_GT(ran.at("peak_bytes").get<double>(), 1e6);
  const Json decrypted = shell_->json(decrypt("output.ct") + " -o \"$D/logits.npy\"");
  const NpyArray expected = read_npy("models/digits_logits.npy");
  const NpyArray logits = read_npy(*shell_ / "logits.npy");
  ASSERT_EQ(logits.shape, (std::vector<std::int64_t>{3, 10}));
  for (std::size_t i = 0; i < logits.values.size(); ++i) {
    EXPECT_NEAR(logits.values[i], expected.values[i], kLogitTolerance) << i;
    EXPECT_EQ(decrypted.at("values")[i].get<float>(), logits.values[i]);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const auto first = expected.values.begin() + static_cast<std::ptrdiff_t>(10 * i);
    EXPECT_EQ(decrypted.at("top_class")[i], std::max_element(first, first + 10) - first);
  }
}

TEST_F(Digits, OneImageCanBeChosen) {
  shell_->json(
      "encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input models/digits_images.npy "
      "--index 5 -o \"$D/one.ct\"");
  shell_->json(run("one.ct", "one_out.ct") + " --threads 1");
  const Json decrypted = shell_->json(decrypt("one_out.ct"));
  const NpyArray expected = read_npy("models/digits_logits.npy");
  ASSERT_EQ(decrypted.at("values").size(), 10U);
  for (std::size_t k = 0; k < 10; ++k) {
    EXPECT_NEAR(decrypted.at("values")[k].get<double>(), expected.values[50 + k], kLogitTolerance);
  }
  shell_->refuses(
      "encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input models/digits_images.npy "
      "--index 36 -o \"$D/never.ct\"",
      "36 inputs (numbers 0 to 35)");
  EXPECT_FALSE(shell_->exists("never.ct"));
}

TEST_F(Digits, ThePredictionSaysWhatWasPromised) {
  const Json& prediction = compiled_->at("prediction");
  EXPECT_GE(prediction.at("security_bits").get<double>(), 128);
  EXPECT_LE(prediction.at("log_qp").get<double>(), prediction.at("log_qp_limit").get<double>());
  EXPECT_GT(prediction.at("seconds").get<double>(), 0);
  const double file = static_cast<double>(std::filesystem::file_size(*shell_ / "keys/evaluation.key"));
  EXPECT_NEAR(prediction.at("key_bytes_file").get<double>(), file, 0.05 * file);
  const Outcome text =
      shell_->hearth("compile models/digits.onnx --calibration models/digits_calibration.npy -o \"$D/again\"");
  for (const char* const row : {"security", "levels", "rotation keys", "evaluation keys", "expected time",
                                "expected peak memory", "expected data moved", "expected error", "ring degree"}) {
    EXPECT_NE(text.out.find(row), std::string::npos) << row;
  }
}

TEST_F(Digits, CompilingTwiceGivesTheSameModel) {
  const Json again =
      shell_->json("compile models/digits.onnx --calibration models/digits_calibration.npy -o \"$D/twice\"");
  EXPECT_EQ(again.at("model_id"), compiled_->at("model_id"));
}

TEST_F(Digits, EveryStepCanBeDumped) {
  for (const char* const step : {"import", "simplify", "layout", "lower", "predict"}) {
    const Outcome dump = shell_->hearth(
        std::string("compile models/digits.onnx --calibration models/digits_calibration.npy --dump ") + step);
    EXPECT_EQ(dump.code, 0) << dump.err;
    EXPECT_GT(dump.out.size(), 20U) << step;
  }
  const Json all = shell_->json("compile models/digits.onnx --calibration models/digits_calibration.npy --dump all");
  EXPECT_EQ(all.at("dump").size(), 6U);
}

TEST_F(Digits, EveryFileCanBeInspected) {
  shell_->json(run("input.ct", "output.ct"));
  const std::pair<const char*, const char*> files[] = {{"out/server.hearth", "server bundle"},
                                                       {"out/client.hearth", "client bundle"},
                                                       {"keys/secret.key", "secret key"},
                                                       {"keys/evaluation.key", "evaluation keys"},
                                                       {"input.ct", "ciphertext"},
                                                       {"output.ct", "ciphertext"}};
  for (const auto& [file, kind] : files) {
    const std::string arguments = std::string("inspect \"$D/") + file + "\"";
    const Json json = shell_->json(arguments);
    EXPECT_EQ(json.at("kind"), kind);
    EXPECT_EQ(json.at("intact"), true);
    EXPECT_EQ(json.at("model"), "digits");
    EXPECT_EQ(json.at("model_id"), compiled_->at("model_id")) << file;
    EXPECT_GE(json.at("parameters").at("security_bits").get<double>(), 128) << file;
    EXPECT_EQ(json.at("bytes"), std::filesystem::file_size(*shell_ / file));
    EXPECT_EQ(shell_->hearth(arguments).code, 0);
  }
  EXPECT_EQ(shell_->json("inspect \"$D/keys/secret.key\"").at("owner_only"), true);
}

TEST_F(Digits, InspectingADamagedFileSaysSo) {
  shell_->run("cp \"$D/input.ct\" \"$D/flipped.ct\"; printf x | dd of=\"$D/flipped.ct\" bs=1 seek=5000 conv=notrunc");
  const Outcome outcome = shell_->hearth("inspect --json \"$D/flipped.ct\"");
  EXPECT_EQ(outcome.code, cli::kFailure);
  EXPECT_NE(outcome.err.find("checksum of section TNSR"), std::string::npos) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out).at("intact"), false);
}

TEST_F(Digits, SecretKeysAreKeptSafe) {
  struct stat status {};
  ASSERT_EQ(stat((*shell_ / "keys/secret.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto before = read_file(*shell_ / "keys/secret.key", 1 << 20);
  shell_->refuses("keygen \"$D/out/client.hearth\" -o \"$D/keys\"", "--force");
  EXPECT_EQ(read_file(*shell_ / "keys/secret.key", 1 << 20), before);
  // A server that is handed a secret key by mistake must say so, wherever it is put.
  shell_->refuses(run("input.ct", "never.ct", "$D/keys/secret.key"), "SECRET KEY");
  shell_->refuses(run("keys/secret.key", "never.ct"), "SECRET KEY");
  shell_->refuses(run("input.ct", "never.ct", "$D/keys/evaluation.key", "$D/keys/secret.key"), "secret key");
  EXPECT_FALSE(shell_->exists("never.ct"));
}

TEST_F(Digits, OutputsReplaceNoInputAndNoSecretKey) {
  const auto key = read_file(*shell_ / "keys/secret.key", 1 << 20);
  const auto input = read_file(*shell_ / "input.ct", 1 << 24);
  shell_->refuses(run("input.ct", "keys/secret.key"), "is a secret key and will not be replaced");
  shell_->refuses(run("input.ct", "out/../input.ct"), "is the input");
  shell_->json(run("input.ct", "output.ct"));
  shell_->refuses(decrypt("output.ct") + " -o \"$D/keys/secret.key\"", "is the input");
  shell_->refuses(decrypt("output.ct") + " -o \"$D/output.ct\"", "is the input");
  EXPECT_EQ(read_file(*shell_ / "keys/secret.key", 1 << 20), key);
  EXPECT_EQ(read_file(*shell_ / "input.ct", 1 << 24), input);
}

TEST_F(Digits, SwappedFilesAreRefusedByName) {
  shell_->json(run("input.ct", "output.ct"));
  shell_->refuses(run("output.ct", "never.ct"), "output.ct is an encrypted output");
  shell_->refuses(run("input.ct", "never.ct", "$D/input.ct"), "input.ct holds ciphertext");
  shell_->refuses(run("input.ct", "never.ct", "$D/keys/evaluation.key", "$D/out/client.hearth"),
                  "client.hearth holds client bundle, expected server bundle");
  shell_->refuses(decrypt("input.ct"), "input.ct is an encrypted input");
  shell_->refuses(decrypt("output.ct", "$D/keys/evaluation.key"), "evaluation.key holds evaluation keys");
  shell_->refuses("keygen \"$D/out/server.hearth\" -o \"$D/keys3\"", "server.hearth holds server bundle");
  EXPECT_FALSE(shell_->exists("never.ct"));
}

TEST_F(Digits, KeysOfAnotherOwnerAreRefusedByName) {
  shell_->json("keygen \"$D/out/client.hearth\" -o \"$D/keys2\"");
  shell_->refuses(run("input.ct", "never.ct", "$D/keys2/evaluation.key"), "keys2/evaluation.key");
  shell_->json(run("input.ct", "output.ct"));
  shell_->refuses(decrypt("output.ct", "$D/keys2/secret.key"), "secret key");
}

TEST_F(Digits, AnotherModelIsRefusedByName) {
  // The same network calibrated on other inputs is another program.
  shell_->json("compile models/digits.onnx --calibration models/digits_images.npy --margin 4 -o \"$D/other\"");
  shell_->refuses(run("input.ct", "never.ct", "$D/keys/evaluation.key", "$D/other/server.hearth"),
                  "evaluation.key belongs to model \"digits\"");
  shell_->refuses("decrypt \"$D/other/client.hearth\" --key \"$D/keys/secret.key\" --input \"$D/input.ct\"",
                  "secret.key belongs to model \"digits\"");
}

TEST_F(Digits, BrokenFilesAreRefused) {
  shell_->run("head -c 100000 \"$D/input.ct\" >\"$D/short.ct\"");
  shell_->refuses(run("short.ct", "never.ct"), "short.ct (ciphertext) is cut short");
  shell_->run("head -c 100 \"$D/keys/evaluation.key\" >\"$D/short.key\"");
  shell_->refuses(run("input.ct", "never.ct", "$D/short.key"), "is cut short");
  shell_->refuses(run("input.ct", "never.ct", "README.md"), "README.md is not a Hearth file");
  shell_->refuses(run("nothing.ct", "never.ct"), "nothing.ct: No such file");
  EXPECT_FALSE(shell_->exists("never.ct"));
}

TEST_F(Digits, UnusableOutputsLeaveNothing) {
  shell_->refuses(run("input.ct", "no/such/folder/out.ct"), "no/such/folder");
  shell_->refuses(run("input.ct", "keys"), "keys");
  shell_->refuses("compile models/digits.onnx --calibration models/digits_calibration.npy -o README.md", "README.md");
}

TEST_F(Digits, RawInputsAreRefused) {
  shell_->refuses(
      "encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input models/digits_labels.npy "
      "-o \"$D/never.ct\"",
      "has shape [36]");
  EXPECT_FALSE(shell_->exists("never.ct"));
}

TEST(Infer, ComparesWithPlaintextAndCleansUp) {
  const Shell shell;
  const Outcome outcome = shell.run("mkdir \"$D/tmp\"; TMPDIR=\"$D/tmp\" " + std::string(HEARTH_PROGRAMS) +
                                    "/hearth infer models/digits.onnx --input models/digits_images.npy --labels "
                                    "models/digits_labels.npy --calibration models/digits_calibration.npy --count 2");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* const part : {"logit error", "2 of 2 as in plaintext", "security", "evaluation keys", "secret key",
                                 "encrypted input", "encrypted output", "server peak memory", "make keys"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  EXPECT_TRUE(std::filesystem::is_empty(shell / "tmp"));
  const Json json = shell.json("infer models/digits.onnx --input models/digits_images.npy --count 2 --quiet");
  EXPECT_EQ(json.at("images").size(), 2U);
  EXPECT_LT(json.at("largest_error").get<double>(), kLogitTolerance);
}

/// Starts a command with its temporaries in $D/tmp, sends the signal as soon as the shell condition holds, prints its
/// exit code, the last it says (children say it too) and what is left there.
std::string interrupted(const Shell& shell, const std::string& command, const std::string& signal,
                        const std::string& condition) {
  return shell
      .run("mkdir -p \"$D/tmp\"; export TMPDIR=\"$D/tmp\"; " + std::string(HEARTH_PROGRAMS) + "/hearth " + command +
           " >/dev/null 2>\"$D/said\" & n=0; until " + condition +
           "; do sleep 0.01; n=$((n+1)); [ $n -lt 3000 ] || break; done; kill -" + signal +
           " $!; wait $!; echo $?; tail -n 1 \"$D/said\"; ls -A \"$D/tmp\"")
      .out;
}

TEST(Infer, LeavesNoSecretKeyWhenInterrupted) {
  const Shell shell;
  const std::string infer = "infer models/digits.onnx --input models/digits_images.npy --log-n 15 --quiet";
  const std::string key_is_there = "ls \"$D\"/tmp/hearth-*/secret.key >/dev/null 2>&1";
  EXPECT_EQ(interrupted(shell, infer, "TERM", key_is_there), "143\nhearth: stopped by signal 15\n");
  EXPECT_EQ(interrupted(shell, infer, "HUP", key_is_there), "129\nhearth: stopped by signal 1\n");
  const std::string folder_is_there = "ls -d \"$D\"/tmp/hearth-* >/dev/null 2>&1";
  EXPECT_EQ(interrupted(shell, infer, "TERM", folder_is_there), "143\nhearth: stopped by signal 15\n");
}

TEST(Infer, KeepsWhatItIsToldToKeep) {
  const Shell shell;
  const std::string infer =
      "infer models/digits.onnx --input models/digits_images.npy --count 1 --quiet --keep \"$D/kept\"";
  shell.json(infer);
  const auto key = read_file(shell / "kept/secret.key", 1 << 20);
  shell.refuses(infer, "--keep another folder");
  EXPECT_EQ(read_file(shell / "kept/secret.key", 1 << 20), key);
}

TEST(Keygen, LeavesNoTemporaryWhenInterrupted) {
  const Shell shell;
  shell.json("compile models/digits.onnx --calibration models/digits_calibration.npy --log-n 15 -o \"$D/out\"");
  const std::string unfinished = "ls \"$D\"/tmp/.evaluation.key.*.tmp >/dev/null 2>&1";
  EXPECT_EQ(interrupted(shell, "keygen \"$D/out/client.hearth\" -o \"$D/tmp\"", "TERM", unfinished),
            "143\nhearth: stopped by signal 15\n");
}

TEST(Infer, PassesOnWhatWentWrong) {
  const Shell shell;
  const Outcome outcome =
      shell.hearth("infer models/digits.onnx --input models/digits_images.npy --calibration README.md");
  EXPECT_EQ(outcome.code, cli::kFailure);
  EXPECT_NE(outcome.err.find("README.md"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("hearth-compile ended with exit code 1"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  shell.refuses("infer models/digits.onnx --input models/digits_images.npy --quiet --count 100", "36 inputs, 100");
}

TEST(Mnist, ClassifiesRealImagesUnderEncryption) {
  const std::string data = "../shared/data";
  if (!std::filesystem::exists(data + "/models/mnist_square_cnn.onnx")) GTEST_SKIP() << "skipped: no " << data;
  const Json json = Shell().json("infer " + data + "/models/mnist_square_cnn.onnx --input " + data +
                                 "/mnist/images_u8.npy --labels " + data +
                                 "/mnist/labels.npy --divide 255 --mean 0.1307 --std 0.3081 --count 4 --quiet");
  EXPECT_EQ(json.at("agree"), 4);
  EXPECT_LT(json.at("largest_error").get<double>(), 1e-3 * json.at("logit_std").get<double>());
}

}  // namespace
}  // namespace hearth
