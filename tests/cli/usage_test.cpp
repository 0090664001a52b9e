#include "tests/cli/shell.h"

// What the commands say about themselves and about wrong command lines.
namespace hearth {
namespace {

using testing::Outcome;
using testing::Shell;

const char* const kCommands[] = {"compile", "keygen",  "encrypt", "run", "decrypt",
                                 "infer",   "inspect", "verify",  "tune"};

TEST(Help, OfTheWholeListsEveryCommand) {
  const Shell shell;
  for (const char* const form : {"--help", "-h", "help"}) {
    const Outcome outcome = shell.hearth(form);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    for (const char* const command : kCommands) EXPECT_NE(outcome.out.find(command), std::string::npos) << command;
  }
}

TEST(Help, OfEveryCommandHasAnExampleAndItsOptions) {
  const Shell shell;
  for (const std::string command : kCommands) {
    const Outcome outcome = shell.hearth(command + " --help");
    EXPECT_EQ(outcome.code, 0) << command;
    EXPECT_EQ(outcome.err, "") << command;
    for (const std::string& part : {"hearth " + command, std::string("Example:"), std::string("--json")}) {
      EXPECT_NE(outcome.out.find(part), std::string::npos) << command << ": " << part << "\n" << outcome.out;
    }
    EXPECT_EQ(shell.hearth("help " + command).out, outcome.out);
  }
}

TEST(Usage, VersionIsANumber) {
  const Outcome outcome = Shell().hearth("--version");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, std::string("hearth ") + HEARTH_VERSION + "\n");
}

TEST(Usage, UnknownCommandsGetASuggestion) {
  const Shell shell;
  shell.refuses("keygne", "did you mean \"keygen\"?", cli::kUsage);
  shell.refuses("xyzzy", "there is no command \"xyzzy\"; see", cli::kUsage);
  shell.refuses("", "a command is missing", cli::kUsage);
}

TEST(Usage, WrongOptionsAreExplained) {
  const Shell shell;
  shell.refuses("run out/server.hearth", "--keys is required", cli::kUsage);
  shell.refuses("run out/server.hearth", "see hearth run --help", cli::kUsage);
  shell.refuses("inspect --colour red file", "--colour", cli::kUsage);
  shell.refuses("keygen", "see hearth keygen --help", cli::kUsage);
  shell.refuses("encrypt b --key k --input i -o o --index 1 --count 2", "excludes", cli::kUsage);
  shell.refuses("compile m.onnx --calibration c.npy", "--output is required", cli::kUsage);
  shell.refuses("compile m.onnx -o out", "--calibration is required", cli::kUsage);
  shell.refuses("compile m.onnx --calibration c.npy --dump everything", "--dump", cli::kUsage);
  shell.refuses("compile m.onnx --calibration c.npy -o out --log-n 40", "--log-n", cli::kUsage);
  shell.refuses("compile m.onnx --calibration c.npy -o out --activation-margin 0.5", "--activation-margin",
                cli::kUsage);
  shell.refuses("compile m.onnx --calibration c.npy -o out --series-degree 1000", "--series-degree", cli::kUsage);
  shell.refuses("tune --log-n 5", "--log-n", cli::kUsage);
  shell.refuses("verify m.onnx --calibration c.npy", "is required", cli::kUsage);
}

TEST(Usage, MissingFilesAreNamed) {
  const Shell shell;
  shell.refuses("inspect \"$D/none\"", "none: No such file");
  shell.refuses("compile \"$D/none.onnx\" --calibration models/digits_calibration.npy -o \"$D/out\"", "none.onnx");
  shell.refuses("compile models/digits.onnx --calibration \"$D/none.npy\" -o \"$D/out\"", "none.npy");
  EXPECT_FALSE(shell.exists("out"));
}

TEST(Usage, ForeignFilesAreNamed) {
  const Shell shell;
  shell.refuses("inspect README.md", "README.md is not a Hearth file");
  shell.refuses("compile models/digits_images.npy --calibration models/digits_calibration.npy -o \"$D/out\"", "ONNX");
  shell.refuses("compile models/digits.onnx --calibration README.md -o \"$D/out\"", "README.md");
  shell.refuses("compile models/digits.onnx --calibration models/digits_labels.npy -o \"$D/out\"",
                "has shape [36], but the model's input has shape [1, 1, 8, 8]");
}

}  // namespace
}  // namespace hearth
