#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "cli/common/command.h"
#include "cli/report/page.h"
#include "cli/report/trace_file.h"

// Where the time of a recorded run went.
namespace {

using namespace hearth;

struct Options {
  cli::CommonOptions common;
  std::string trace, output;
  std::size_t moments = 20;
};

void report(const Options& options) {
  if (!options.output.empty()) cli::require_no_input(options.output, {options.trace});
  const trace::Recording recording = cli::read_trace(options.trace);
  const cli::TraceSummary summary = cli::summarise(recording, options.moments);
  if (!options.output.empty()) {
    constexpr std::size_t kMomentsOfPicture = 400;
    write_file_atomic(options.output, cli::to_html(cli::summarise(recording, kMomentsOfPicture),
                                                   std::filesystem::path(options.trace).filename().string()));
  }
  cli::emit(options.common, to_json(summary), to_text(summary));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Tells where the time of a recorded run went: by layer, operation, tier and wait, and what was in memory",
      "hearth report");
  app.footer("Example:\n  hearth run ... --trace out.json\n  hearth report out.json -o report.html");
  Options options;
  app.add_option("trace", options.trace, "Recording, from hearth run --trace")->required()->type_name("FILE");
  app.add_option("-o,--output", options.output, "Also write a page with pictures (HTML, complete in itself)")
      ->type_name("FILE");
  app.add_option("--moments", options.moments, "Lines of the table of memory (default 20)")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  cli::add_common_options(app, options.common, /*threads=*/false);
  return cli::run_command(app, argc, argv, options.common, [&] { report(options); });
}
