#include <fmt/format.h>

#include <cmath>
#include <tuple>
#include <utility>

#include "base/npy.h"
#include "tests/cli/shell.h"

// A network with ReLUs through all commands, on a ring far too small to be secure so that it is quick.
namespace hearth {
namespace {

using cli::Json;
using testing::Outcome;
using testing::Shell;

const std::string kModel =
    "models/digits_resnet.onnx --calibration models/digits_calibration.npy --insecure --log-n 11 ";

class Relu : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = new Shell;
    compiled_ = new Json(shell_->json("compile " + kModel + "-o \"$D/out\""));
    shell_->json("keygen \"$D/out/client.hearth\" -o \"$D/keys\" --insecure");
    shell_->json(
        "encrypt \"$D/out/client.hearth\" --insecure --key \"$D/keys/secret.key\" --input models/digits_images.npy "
        "--count 2 -o \"$D/input.ct\"");
  }
  static void TearDownTestSuite() {
    delete compiled_;
    delete shell_;
  }

  static std::string verify(const std::string& input, const std::string& options = "") {
    return "verify " + kModel + options +
           " --server \"$D/out/server.hearth\" --client \"$D/out/client.hearth\" --keys \"$D/keys/evaluation.key\" "
           "--key \"$D/keys/secret.key\" --input " +
           input;
  }
  static std::string run(const std::string& output) {
    return "run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input \"$D/input.ct\" -o \"$D/" + output +
           "\"";
  }

  static Shell* shell_;
  static Json* compiled_;
};

Shell* Relu::shell_ = nullptr;
Json* Relu::compiled_ = nullptr;

TEST_F(Relu, LogitsArePlaintextOnesAsPreciseAsForetold) {
  shell_->json(run("output.ct"));
  shell_->json(
      "decrypt \"$D/out/client.hearth\" --insecure --key \"$D/keys/secret.key\" --input \"$D/output.ct\" -o "
      "\"$D/logits.npy\"");
  const NpyArray logits = read_npy(*shell_ / "logits.npy");
  const NpyArray expected = read_npy("models/digits_resnet_logits.npy");
  const double foretold = compiled_->at("prediction").at("output_error").get<double>();
  ASSERT_EQ(logits.values.size(), 20U);
  double squares = 0;
  for (std::size_t i = 0; i < logits.values.size(); ++i) {
    squares += std::pow(logits.values[i] - expected.values[i], 2);
  }
  EXPECT_LT(std::sqrt(squares / 20), 4 * foretold);
}

TEST_F(Relu, TheReportTellsAboutEveryActivation) {
  const Json& activations = compiled_->at("activations");
  ASSERT_EQ(activations.size(), 7U);
  EXPECT_EQ(compiled_->at("bootstraps"), 7);
  for (const Json& a : activations) {
    EXPECT_EQ(a.at("function"), "Relu");
    EXPECT_EQ(a.at("degree"), 63);
    EXPECT_NEAR(a.at("range").get<double>(), 1.5 * a.at("largest").get<double>(), 1e-6 * a.at("range").get<double>());
    EXPECT_GT(a.at("half_period"), a.at("range"));
    EXPECT_LT(a.at("rms_error"), a.at("max_error"));
    EXPECT_LT(a.at("max_error").get<double>(), 0.01 * a.at("range").get<double>());
    EXPECT_LT(a.at("clip_probability").get<double>(), 1e-3);
    EXPECT_LT(a.at("wrap_probability"), a.at("clip_probability"));
  }
  const Json& simulation = compiled_->at("simulation");
  EXPECT_EQ(simulation.at("labels_agree"), simulation.at("inputs"));
  const Outcome text = shell_->hearth("compile " + kModel + "-o \"$D/again\"");
  for (const char* const part : {"bootstraps", "7 for 7 ciphertexts of 7 activations", "simulated accuracy", "P(clip)",
                                 "P(wrap)", "block2.relu1", "1.50x"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
}

TEST_F(Relu, MarginAndDegreeOfActivationsCanBeChosen) {
  const Json other = shell_->json("compile " + kModel + "--activation-margin 3 --series-degree 31 -o \"$D/other\"");
  EXPECT_NE(other.at("model_id"), compiled_->at("model_id"));
  const Json &wide = other.at("activations")[0], &usual = compiled_->at("activations")[0];
  EXPECT_EQ(wide.at("degree"), 31);
  EXPECT_NEAR(wide.at("range").get<double>(), 2 * usual.at("range").get<double>(), 1e-6);
  EXPECT_GT(wide.at("rms_error"), usual.at("rms_error"));
  EXPECT_LT(wide.at("clip_probability"), usual.at("clip_probability"));
  EXPECT_LT(other.at("prediction").at("levels"), compiled_->at("prediction").at("levels"));
}

TEST_F(Relu, FewCalibrationInputsAreWarnedOf) {
  const Outcome many = shell_->hearth("compile " + kModel + "-o \"$D/warned\"");
  EXPECT_EQ(many.err, "");
  NpyArray images = read_npy("models/digits_images.npy");
  images.values.resize(3 * 64);
  write_npy(*shell_ / "few.npy", std::vector<std::int64_t>{3, 1, 8, 8}, images.values);
  const Outcome few = shell_->hearth(
      "compile models/digits_resnet.onnx --calibration \"$D/few.npy\" --insecure --log-n 11 -o \"$D/warned\"");
  EXPECT_EQ(few.code, 0) << few.err;
  EXPECT_NE(few.err.find("only 3 calibration input(s)"), std::string::npos) << few.err;
}

TEST_F(Relu, CompilingTwiceGivesTheSameModel) {
  EXPECT_EQ(shell_->json("compile " + kModel + "-o \"$D/twice\"").at("model_id"), compiled_->at("model_id"));
}

TEST_F(Relu, VerifyComparesEveryLayer) {
  const Json layers = shell_->json(verify("models/digits_images.npy")).at("layers");
  ASSERT_GT(layers.size(), 15U);
  std::size_t activations = 0;
  for (const Json& layer : layers) {
    const auto number = [&](const char* name) { return layer.at(name).get<double>(); };
    EXPECT_GT(number("rms"), 0) << layer;
    EXPECT_GT(number("bits"), 7) << layer;
    EXPECT_LE(number("rms_error"), number("max_error")) << layer;
    EXPECT_LT(number("rms_error"), 5 * number("predicted_error")) << layer;
    if (layer.at("op") != "activation") continue;
    ++activations;
    EXPECT_LT(number("own_error"), 5 * number("predicted_own_error")) << layer;
    EXPECT_LT(number("largest_operand"), number("range"));
    EXPECT_GT(number("largest_operand"), 0.2 * number("range"));
    // Most of an activation's error is that of its series.
    EXPECT_LT(number("own_error"), number("rms_error"));
  }
  EXPECT_EQ(activations, 7U);
}

TEST_F(Relu, VerifyTakesEncryptedInputs) {
  const Outcome outcome = shell_->hearth(verify("\"$D/input.ct\" --index 1"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* const part : {"predicted", "own", "/block1.relu1", "% of the range", "logits"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  shell_->refuses(verify("\"$D/input.ct\" --index 2"), "has 2 inputs, number 2");
}

TEST_F(Relu, VerifyRefusesWhatDoesNotBelong) {
  shell_->refuses(verify("models/digits_images.npy", "--margin 3"), "verify needs the same as compile got");
  shell_->refuses(verify("models/digits_labels.npy"), "has shape [36]");
  shell_->refuses(verify("\"$D/keys/evaluation.key\""), "evaluation.key holds evaluation keys");
}

TEST_F(Relu, AnInterruptedRunLeavesNothingAndSaysSo) {
  shell_->json(
      "encrypt \"$D/out/client.hearth\" --insecure --key \"$D/keys/secret.key\" --input models/digits_images.npy "
      "-o \"$D/many.ct\"");
  // A shell without job control makes what it starts in the background ignore SIGINT.
  const std::string start = "rm -rf \"$D/cut\"; mkdir \"$D/cut\"; env --default-signal=INT " +
                            std::string(HEARTH_PROGRAMS) +
                            "/hearth run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input "
                            "\"$D/many.ct\" -o \"$D/cut/output.ct\" >/dev/null 2>\"$D/said\" & n=0; ";
  const std::string begun =
      "until ls \"$D\"/cut/.output.ct.*.tmp >/dev/null 2>&1; do sleep 0.01; n=$((n+1)); [ $n -lt 3000 ] || break; "
      "done; ";
  const std::string end = " $!; wait $!; echo $?; cat \"$D/said\"; ls -A \"$D/cut\"";
  for (const auto& [signal, number] : {std::pair("TERM", 15), std::pair("INT", 2), std::pair("HUP", 1)}) {
    EXPECT_EQ(shell_->run(start + begun + "kill -" + signal + end).out,
              fmt::format("{}\nhearth: stopped by signal {}\n", 128 + number, number));
  }
  // The same before the evaluation, where nothing looks for signals.
  const std::string loads = "sleep 0.05; ";
  EXPECT_EQ(shell_->run(start + loads + "kill -TERM" + end).out, "143\nhearth: stopped by signal 15\n");
}

TEST_F(Relu, TheRunIsComparedWithThePrediction) {
  const Json ran = shell_->json(run("compared.ct"));
  const auto number = [](const Json& json, const char* name) { return json.at(name).get<double>(); };
  for (const auto& [name, measured, predicted] :
       {std::tuple("time", "seconds_per_input", "seconds"), std::tuple("memory", "peak_bytes", "peak_bytes")}) {
    const Json& compared = ran.at(name);
    EXPECT_NEAR(number(compared, "measured"), number(ran, measured), 0.01 * number(ran, measured));
    EXPECT_EQ(compared.at("predicted"), compiled_->at("prediction").at(predicted));
    EXPECT_NEAR(number(compared, "ratio"), number(compared, "measured") / number(compared, "predicted"), 1e-9);
  }
  double predicted = 0;
  for (const Json& stage : ran.at("stages")) predicted += number(stage, "predicted_seconds");
  EXPECT_NEAR(predicted, number(compiled_->at("prediction"), "seconds"), 1e-6);
  EXPECT_GT(number(compiled_->at("prediction"), "moved_bytes"), number(ran, "key_bytes"));
  const Json& shares = ran.at("shares");
  EXPECT_NEAR(number(shares, "bootstraps") + number(shares, "linear") + number(shares, "other"), 1, 1e-6);
  EXPECT_GT(number(shares, "bootstraps"), 0.3) << "seven bootstraps beside small layers";
  EXPECT_GT(number(shares, "linear"), 0);
  const Outcome text = shell_->hearth(run("compared.ct"));
  for (const char* const part : {"; predicted ", "times that", "% in bootstraps", "% in linear layers"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
}

}  // namespace
}  // namespace hearth
