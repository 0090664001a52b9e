#include "cli/common/command.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <new>

#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "cli/common/process.h"

namespace hearth::cli {
namespace {

void print_error(const std::string& message) { std::fprintf(stderr, "hearth: %s\n", printable(message).c_str()); }

/// "hearth keygen" for the subcommand that was being parsed, else the name of the application.
std::string command_name(const CLI::App& app) {
  for (const CLI::App* sub : app.get_subcommands()) return app.get_name() + " " + sub->get_name();
  return app.get_name();
}

int report_parse_error(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  print_error(fmt::format("{}; see {} --help", error.what(), command_name(app)));
  return kUsage;
}

bool erases_progress = false;  // on standard error, when a signal ends the process

/// As guarded() says it, with nothing but what a signal handler may call.
void say_stopped(int signal) {
  char line[] = "\r\x1b[Khearth: stopped by signal    ";
  constexpr std::size_t kErasing = 4;
  char* end = line + sizeof(line) - 4;
  if (signal >= 10) *end++ = static_cast<char>('0' + signal / 10 % 10);
  *end++ = static_cast<char>('0' + signal % 10);
  *end++ = '\n';
  const char* const begin = line + (erases_progress ? 0 : kErasing);
  if (::write(STDERR_FILENO, begin, static_cast<std::size_t>(end - begin)) < 0) return;  // nobody is there to hear it
}

void remove_and_end(int signal) {
  remove_unfinished_files();
  say_stopped(signal);
  // The handler was installed for one use: by now the signal does again what it did, once the handler returns.
  static_cast<void>(::raise(signal));
}

void clean_up_on_signals() {
  erases_progress = isatty(STDERR_FILENO) != 0;
  for (const int signal : kEndingSignals) {
    struct sigaction before {};
    if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = remove_and_end;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(signal, &action, nullptr);
  }
}

int guarded(const std::function<void()>& body) {
  try {
    body();
    return kSuccess;
  } catch (const Error& error) {
    print_error(error.what());
    return error.kind() == ErrorKind::kInternal ? kBug : kFailure;
  } catch (const Interrupted& interrupted) {
    print_error(fmt::format("stopped by signal {}", interrupted.signal));
    return kSignal + interrupted.signal;
  } catch (const std::bad_alloc&) {
    print_error("out of memory");
    return kFailure;
  } catch (const std::filesystem::filesystem_error& error) {
    print_error(error.what());
    return kFailure;
  } catch (const std::exception& error) {
    print_error(fmt::format("internal error: {}", error.what()));
    return kBug;
  }
}

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& options, bool threads) {
  app.add_flag("--json", options.json, "Print one JSON object on standard output and nothing else");
  app.add_flag("--quiet", options.quiet, "No progress, no warnings");
  if (threads) {
    app.add_option("--threads", options.threads, "Threads to use (default: all of the machine)")
        ->check(CLI::Range(1, 4096))
        ->type_name("T");
  }
}

void add_normalisation(CLI::App& app, double& divisor, std::vector<double>& mean, std::vector<double>& deviation) {
  app.add_option("--divide", divisor, "Inputs are divided by this first, e.g. 255 for images of bytes")->type_name("D");
  app.add_option("--mean", mean, "Then this is subtracted: one number, or one a channel, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("M,...");
  app.add_option("--std", deviation, "Then divided by this: one number, or one a channel")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("S,...");
}

void add_image_resize(CLI::App& app, std::optional<int>& resize) {
  app.add_option(
         "--image-resize", resize,
         "Of images (encrypt --image) the shorter side becomes R pixels before the middle is cut out, 256 for most "
         "models of 224 (default: as little as fills the model's input; 0: nothing is resized)")
      ->check(CLI::Range(0, 65536))
      ->type_name("R");
}

int run_command(CLI::App& app, int argc, char** argv, const CommonOptions& options, const std::function<void()>& body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_parse_error(app, error);
  }
  clean_up_on_signals();
  set_progress_enabled(!options.quiet);
  const int code = guarded([&] {
    if (options.threads > 0) set_threads(options.threads);
    body();
    require(std::fflush(stdout) == 0, ErrorKind::kIo, "cannot write to standard output");
  });
  return code;
}

void require_no_input(const std::filesystem::path& output, const std::vector<std::filesystem::path>& inputs) {
  for (const std::filesystem::path& input : inputs) {
    std::error_code ignored;  // a file that is not there is no other file
    require(!std::filesystem::equivalent(output, input, ignored), ErrorKind::kInvalidArgument,
            "the output {} is the input {} and would replace it: choose another path", output.string(), input.string());
  }
}

void emit(const CommonOptions& options, const Json& json, const std::string& text) {
  // Foreign names may be no valid UTF-8.
  const std::string out = options.json ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : text;
  require(std::fwrite(out.data(), 1, out.size(), stdout) == out.size(), ErrorKind::kIo,
          "cannot write to standard output");
}

void warn(const CommonOptions& options, const std::string& message) {
  if (!options.quiet) print_error("warning: " + message);
}

std::string printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return text;
}

std::string format_bytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.3g} {}", bytes, units[unit]);
}

std::string format_seconds(double seconds) {
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds < 100) return fmt::format("{:.3g} s", seconds);
  return format_duration(seconds);
}

std::string format_rows(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.first.size());
  std::string out;
  for (const auto& [name, value] : rows) out += fmt::format("{:<{}}  {}\n", name, width, value);
  return out;
}

Stage::Stage(const std::string& label, double expected_seconds)
    : progress_(label, 1, expected_seconds), start_(Progress::Clock::now()) {}

std::function<void(double, double)> Stage::reporter() {
  return [this](double done, double total) {
    if (total > 0) progress_.set(done / total);
  };
}

std::function<void(double, double, const std::string&)> Stage::detailed_reporter() {
  return [this](double done, double total, const std::string& detail) {
    if (total > 0) progress_.set(done / total, printable(detail));
  };
}

double Stage::finish() {
  progress_.finish();
  return std::chrono::duration<double>(Progress::Clock::now() - start_).count();
}

}  // namespace hearth::cli
