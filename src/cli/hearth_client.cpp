#include <filesystem>

#include "base/error.h"
#include "cli/common/command.h"
#include "cli/common/ranking.h"
#include "service/client/client.h"
#include "service/image/recipe.h"
#include "service/wire/ciphertext_file.h"
#include "service/wire/input_batch.h"

// The data owner's commands: keygen, encrypt, decrypt. The only program of Hearth that touches a secret key,
// apart from hearth-verify, which is for developers.
namespace {

using namespace hearth;
using cli::Json;
namespace fs = std::filesystem;

struct Options {
  cli::CommonOptions common;
  std::string bundle, key, input, output;
  std::vector<std::string> images;
  std::int64_t index = -1, count = -1;
  int top = cli::kDefaultTop;
  bool force = false, insecure = false;
};

double size_of(const fs::path& path) { return static_cast<double>(fs::file_size(path)); }

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error && fs::is_directory(folder), ErrorKind::kIo, "cannot make the folder {}: {}", folder.string(),
          error ? error.message() : "something else has that name");
}

void keygen(const Options& options) {
  const service::Client client(options.bundle, options.insecure);
  make_folder(options.output);
  const fs::path secret = fs::path(options.output) / "secret.key";
  const fs::path evaluation = fs::path(options.output) / "evaluation.key";
  for (const fs::path& file : {secret, evaluation}) cli::require_no_input(file, {options.bundle});
  cli::Stage stage("Making keys");
  client.make_keys(secret, evaluation, options.force, stage.reporter());
  const double seconds = stage.finish();
  const auto& keys = client.bundle().keys;
  const std::size_t count = keys.galois.size() + keys.relinearisation_sets.size() + (keys.encapsulation ? 2 : 0);
  cli::emit(
      options.common,
      {{"secret_key", secret.string()},
       {"secret_key_bytes", size_of(secret)},
       {"evaluation_keys", evaluation.string()},
       {"evaluation_key_bytes", size_of(evaluation)},
       {"key_count", count},
       {"security_bits", client.parameters().security().estimated_bits},
       {"seconds", seconds}},
      cli::format_rows({{"secret key", fmt::format("{} ({}): keep it, nobody else needs it", secret.string(),
                                                   cli::format_bytes(size_of(secret)))},
                        {"evaluation keys", fmt::format("{} ({}, {} keys): give it to the server", evaluation.string(),
                                                        cli::format_bytes(size_of(evaluation)), count)},
                        {"time", cli::format_seconds(seconds)}}));
}

/// What to encrypt, from --image or --input.
service::ImageBatch read_inputs(const Options& options, const compiler::ClientBundle& bundle) {
  if (options.images.empty()) return {.inputs = read_npy(options.input), .notes = {}, .warnings = {}};
  return service::read_images(options.images, service::image_recipe(bundle.input_shape, bundle.image_resize));
}

Json to_json(const std::vector<service::ImageNote>& notes) {
  Json out = Json::array();
  for (const service::ImageNote& note : notes) {
    out.push_back({{"file", note.file}, {"width", note.width}, {"height", note.height}, {"enlarged", note.enlarged}});
  }
  return out;
}

/// Which inputs of the array to encrypt: --index I is one, --count K the first K, neither all.
std::pair<std::size_t, std::size_t> selection(const Options& options, const std::string& name, std::size_t available) {
  const bool one = options.index >= 0;
  const std::size_t first = one ? static_cast<std::size_t>(options.index) : 0;
  const std::size_t count = one ? 1 : options.count > 0 ? static_cast<std::size_t>(options.count) : available;
  require(first < available && count <= available - first, ErrorKind::kInvalidArgument,
          "{} has {} inputs (numbers 0 to {}), but {} from number {} were asked for", name, available, available - 1,
          count, first);
  return {first, count};
}

void encrypt(const Options& options) {
  const service::Client client(options.bundle, options.insecure);
  std::vector<fs::path> files{options.bundle, options.key, options.input};
  files.insert(files.end(), options.images.begin(), options.images.end());
  cli::require_no_input(options.output, files);
  const std::string name = options.images.empty() ? options.input : fmt::format("{}", fmt::join(options.images, ", "));
  const service::ImageBatch batch = read_inputs(options, client.bundle());
  const auto [first, count] =
      selection(options, name, service::count_inputs(batch.inputs, client.bundle().input_shape, name));
  const service::ClientSecret secret = client.load_secret(options.key);
  cli::Stage stage("Encrypting");
  service::EncryptReport report =
      client.encrypt_file(secret, batch.inputs, name, first, count, options.output, stage.reporter());
  const double seconds = stage.finish();
  report.warnings.insert(report.warnings.begin(), batch.warnings.begin(), batch.warnings.end());
  for (const std::string& warning : report.warnings) cli::warn(options.common, warning);
  const double bytes = size_of(options.output);
  Json json = {{"output", options.output},  {"bytes", bytes},     {"inputs", report.inputs},    {"first", first},
               {"largest", report.largest}, {"seconds", seconds}, {"warnings", report.warnings}};
  if (!batch.notes.empty()) json["images"] = to_json(batch.notes);
  cli::emit(options.common, json,
            cli::format_rows({{"output", fmt::format("{} ({})", options.output, cli::format_bytes(bytes))},
                              {"inputs", fmt::format("{}", report.inputs)},
                              {"time", cli::format_seconds(seconds)}}));
}

void decrypt(const Options& options) {
  const service::Client client(options.bundle, options.insecure);
  const service::ClientSecret secret = client.load_secret(options.key);
  cli::require_no_input(options.output, {options.bundle, options.key, options.input});
  cli::Stage stage("Decrypting");
  service::DecryptReport report;
  const NpyArray outputs = client.decrypt_file(secret, options.input, &report, stage.reporter());
  const double seconds = stage.finish();
  for (const std::string& warning : report.warnings) cli::warn(options.common, warning);
  if (!options.output.empty()) write_npy(options.output, outputs.shape, outputs.values);
  const auto count = static_cast<std::size_t>(outputs.shape.front());
  const std::size_t each = outputs.values.size() / count;
  Json classes = Json::array(), top = Json::array();
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    const auto ranking = cli::rank(std::span(outputs.values).subspan(i * each, each), client.bundle().classes,
                                   static_cast<std::size_t>(options.top));
    classes.push_back(ranking.front().index);
    top.push_back(cli::to_json(ranking));
    text += fmt::format("input {}\n{}", i, cli::format_ranking(ranking));
  }
  Json json = {{"inputs", count},
               {"top_class", classes},
               {"top", top},
               {"shape", outputs.shape},
               {"values", outputs.values},
               {"seconds", seconds},
               {"warnings", report.warnings}};
  if (!options.output.empty()) json["output"] = options.output;
  cli::emit(options.common, json, text);
}

void add_bundle(CLI::App& app, Options& options) {
  app.add_option("bundle", options.bundle, "Client bundle, from hearth compile")->required()->type_name("FILE");
  app.add_flag("--insecure", options.insecure, "Accept a bundle below 128 bits of security (experiments only)");
}

void add_key(CLI::App& app, Options& options) {
  app.add_option("--key", options.key, "Secret key, from hearth keygen")->required()->type_name("FILE");
}

void add_keygen(CLI::App& app, Options& options) {
  CLI::App& sub = *app.add_subcommand("keygen", "Makes a secret key and the evaluation keys a model needs");
  add_bundle(sub, options);
  sub.add_option("-o,--output", options.output, "Folder for secret.key and evaluation.key")
      ->required()
      ->type_name("FOLDER");
  sub.add_flag("--force", options.force, "Replace an existing secret key");
  cli::add_common_options(sub, options.common);
  sub.footer(
      "Example:\n  hearth keygen out/client.hearth -o keys/\n\nsecret.key never leaves its owner; "
      "evaluation.key goes to the server.");
}

void add_encrypt(CLI::App& app, Options& options) {
  CLI::App& sub = *app.add_subcommand("encrypt", "Encrypts inputs from a .npy file, or images");
  add_bundle(sub, options);
  add_key(sub, options);
  CLI::App& inputs = *sub.add_option_group("Inputs");
  inputs.require_option(1);
  inputs
      .add_option("--input", options.input, "Inputs, in the form the calibration inputs had: one, or several stacked")
      ->type_name("FILE.npy");
  auto* images =
      inputs
          .add_option("--image", options.images,
                      "PNG or JPEG images of any size, one or more: resized and cut as hearth compile was told")
          ->type_name("FILE");
  auto* index = sub.add_option("--index", options.index, "Encrypt only this input, counted from 0")
                    ->check(CLI::NonNegativeNumber)
                    ->type_name("I")
                    ->excludes(images);
  sub.add_option("--count", options.count, "Encrypt only the first K inputs")
      ->check(CLI::PositiveNumber)
      ->type_name("K")
      ->excludes(index)
      ->excludes(images);
  sub.add_option("-o,--output", options.output, "Where to write the encrypted inputs")->required()->type_name("FILE");
  cli::add_common_options(sub, options.common);
  sub.footer(
      "Example:\n  hearth encrypt out/client.hearth --key keys/secret.key --input images.npy --count 4 "
      "-o input.ct\n  hearth encrypt out/client.hearth --key keys/secret.key --image photo.jpg -o input.ct");
}

void add_decrypt(CLI::App& app, Options& options) {
  CLI::App& sub = *app.add_subcommand("decrypt", "Decrypts outputs; prints the likeliest classes of each");
  add_bundle(sub, options);
  add_key(sub, options);
  sub.add_option("--input", options.input, "Encrypted outputs, from hearth run")->required()->type_name("FILE");
  sub.add_option("-o,--output", options.output, "Where to write all outputs")->type_name("FILE.npy");
  cli::add_top_option(sub, options.top);
  cli::add_common_options(sub, options.common);
  sub.footer("Example:\n  hearth decrypt out/client.hearth --key keys/secret.key --input output.ct -o logits.npy");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Keys, encryption and decryption: the data owner's side of Hearth", "hearth");
  app.require_subcommand(1);
  Options options;
  add_keygen(app, options);
  add_encrypt(app, options);
  add_decrypt(app, options);
  return cli::run_command(app, argc, argv, options.common, [&] {
    if (app.got_subcommand("keygen")) keygen(options);
    if (app.got_subcommand("encrypt")) encrypt(options);
    if (app.got_subcommand("decrypt")) decrypt(options);
  });
}
