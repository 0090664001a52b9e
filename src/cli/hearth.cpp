#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/common/process.h"

// The hearth command: finds the program of a subcommand beside itself and becomes it.
namespace {

struct Command {
  std::string_view name;
  std::string_view program;
  bool passes_name;  // the program serves several commands
  std::string_view summary;
};

constexpr std::array kCommands{
    Command{"compile", "hearth-compile", false, "ONNX model -> server bundle, client bundle, prediction"},
    Command{"keygen", "hearth-client", true, "client bundle -> secret key, evaluation keys"},
    Command{"encrypt", "hearth-client", true, "inputs (.npy) -> encrypted inputs"},
    Command{"run", "hearth-run", false, "encrypted inputs -> encrypted outputs; needs no secret"},
    Command{"decrypt", "hearth-client", true, "encrypted outputs -> outputs (.npy)"},
    Command{"infer", "hearth-infer", false, "all of the above in one, compared with plaintext"},
    Command{"verify", "hearth-verify", false,
            "compare every layer with plaintext; needs the secret key, for developers"},
    Command{"tune", "hearth-tune", false, "measure this machine, for better predictions"},
    Command{"report", "hearth-report", false, "where the time of a recorded run went (run --trace)"},
    Command{"inspect", "hearth-inspect", false, "describe any file that Hearth writes"}};

constexpr std::string_view kExamples = R"(
Examples:
  hearth infer model.onnx --input images.npy
  hearth compile model.onnx --calibration images.npy -o out/
  hearth keygen out/client.hearth -o keys/
  hearth encrypt out/client.hearth --key keys/secret.key --input images.npy -o input.ct
  hearth run out/server.hearth --keys keys/evaluation.key --input input.ct -o output.ct
  hearth decrypt out/client.hearth --key keys/secret.key --input output.ct -o logits.npy

Only keygen, encrypt and decrypt ever see a secret key; run happens on the server.
hearth COMMAND --help describes a command. Exit codes: 0 done, 1 unusable input or file, 2 usage, 3 bug in Hearth.
)";

void print_help() {
  std::printf("hearth %s: neural networks on encrypted data\n\nUsage: hearth COMMAND [OPTIONS]\n\nCommands:\n",
              HEARTH_VERSION);
  for (const Command& command : kCommands) {
    std::printf("  %-9s %s\n", std::string(command.name).c_str(), std::string(command.summary).c_str());
  }
  std::printf("%s", std::string(kExamples).c_str());
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

int unknown_command(std::string_view name) {
  const auto nearest = std::min_element(kCommands.begin(), kCommands.end(), [&](const Command& a, const Command& b) {
    return edit_distance(name, a.name) < edit_distance(name, b.name);
  });
  const bool close = edit_distance(name, nearest->name) <= 2;
  std::fprintf(stderr, "hearth: there is no command \"%s\"%s; see hearth --help\n", std::string(name).c_str(),
               close ? (", did you mean \"" + std::string(nearest->name) + "\"?").c_str() : "");
  return 2;
}

int dispatch(std::vector<std::string> arguments) {
  std::string name = arguments.front();
  if (name == "help" && arguments.size() > 1) {
    name = arguments[1];
    arguments = {name, "--help"};
  }
  const auto command =
      std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& c) { return c.name == name; });
  if (command == kCommands.end()) return unknown_command(name);
  if (!command->passes_name) arguments.erase(arguments.begin());
  hearth::cli::replace_process(hearth::cli::program_folder() / command->program, arguments);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string first = arguments.empty() ? "" : arguments.front();
  if (first == "--version" || first == "-V") {
    std::printf("hearth %s\n", HEARTH_VERSION);
    return 0;
  }
  const bool wants_help = first == "--help" || first == "-h" || (first == "help" && arguments.size() == 1);
  if (wants_help) {
    print_help();
    return 0;
  }
  if (arguments.empty()) {
    std::fprintf(stderr, "hearth: a command is missing; see hearth --help\n");
    return 2;
  }
  try {
    return dispatch(arguments);
  } catch (const hearth::Error& error) {
    std::fprintf(stderr, "hearth: %s\n", error.what());
    return 1;
  }
}
