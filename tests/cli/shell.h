#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "cli/common/command.h"
#include "cli/common/process.h"
#include "tests/base/temporary_folder.h"

namespace hearth::testing {

struct Outcome {
  int code = 0;
  std::string out, err;
};

/// Runs commands in a folder of their own. Arguments are words for the shell; "$D" is the folder.
class Shell {
 public:
  /// `hearth` with these arguments.
  Outcome hearth(const std::string& arguments) const {
    return run(std::string(HEARTH_PROGRAMS) + "/hearth " + arguments);
  }

  Outcome run(const std::string& command) const {
    const std::string script = "D='" + folder_.path().string() + "'; " + command + " 2>\"$D/.stderr\"";
    const cli::ProcessResult result = cli::run_process("/bin/sh", {"-c", script});
    return {result.exit_code, result.output, text("/.stderr")};
  }

  /// Expects success and one JSON object on standard output.
  cli::Json json(const std::string& arguments) const {
    const Outcome outcome = hearth(arguments + " --json");
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    cli::Json json = cli::Json::parse(outcome.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << arguments << "\n" << outcome.out;
    return json;
  }

  /// Expects this exit code, one line on standard error that contains `part`, and nothing on standard output.
  void refuses(const std::string& arguments, const std::string& part, int code = cli::kFailure) const {
    const Outcome outcome = hearth(arguments);
    EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("hearth: ")) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  }

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

 private:
  std::string text(const std::string& name) const {
    std::ifstream in(folder_.path().string() + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryFolder folder_;
};

}  // namespace hearth::testing
