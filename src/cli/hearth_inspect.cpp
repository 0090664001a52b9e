#include "base/error.h"
#include "cli/describe/describe.h"

int main(int argc, char** argv) {
  using namespace hearth;
  CLI::App app("Describes any file that Hearth writes, and verifies its checksums", "hearth inspect");
  app.footer("Example:\n  hearth inspect out/server.hearth\n\nOf a secret key only its head is shown.");
  cli::CommonOptions options;
  std::string file;
  app.add_option("file", file, "Bundle, key or ciphertext file")->required()->type_name("FILE");
  cli::add_common_options(app, options, false);
  return cli::run_command(app, argc, argv, options, [&] {
    const cli::Description description = cli::describe_file(file);
    cli::emit(options, description.json, cli::format_rows(description.rows));
    require(description.json.at("intact").get<bool>(), ErrorKind::kCorrupt, "{}",
            description.json.value("problem", file + " is damaged"));
  });
}
