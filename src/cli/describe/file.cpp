#include "base/error.h"
#include "cli/describe/describe.h"
#include "service/wire/ciphertext_file.h"
#include "service/wire/evaluation_key_file.h"
#include "service/wire/input_batch.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

void append(Rows& rows, const Rows& more) { rows.insert(rows.end(), more.begin(), more.end()); }

void add(Description& out, const std::string& row, const std::string& key, const Json& value) {
  out.rows.emplace_back(row, value.is_string() ? printable(value.get<std::string>()) : value.dump());
  out.json[key] = value;
}

void add_parameters(Description& out, const ckks::ParameterSpec& spec) {
  const auto parameters = ckks::Parameters::create(spec);
  append(out.rows, describe(*parameters));
  out.json["parameters"] = to_json(*parameters);
}

void add_model(Description& out, const std::string& model, std::span<const std::uint8_t> id) {
  add(out, "model", "model", model);
  add(out, "model id", "model_id", service::to_hex(id));
}

void add_binding(Description& out, const service::Binding& binding) {
  add_model(out, binding.model, binding.model_id);
  add(out, "secret key id", "key_id", service::to_hex(binding.key_id));
}

void add_prediction(Description& out, const compiler::Prediction& prediction) {
  for (const auto& [name, value] : describe(prediction)) {
    if (name.starts_with("expected")) out.rows.emplace_back(name, value);
  }
  out.json["prediction"] = to_json(prediction);
}

void add_keys(Description& out, const ckks::KeyRequest& keys) {
  out.rows.emplace_back("evaluation keys", fmt::format("{} rotation, {} relinearisation{}", keys.galois.size(),
                                                       keys.relinearisation_sets.size(),
                                                       keys.encapsulation ? ", 2 of the encapsulated secret" : ""));
  out.json["rotation_keys"] = keys.galois.size();
  out.json["relinearisation_keys"] = keys.relinearisation_sets.size();
  out.json["encapsulation_keys"] = keys.encapsulation ? 2 : 0;
}

void add_normalisation(Description& out, const compiler::Normalisation& value) {
  out.json["normalisation"] = {{"divide", value.divisor}, {"mean", value.mean}, {"std", value.deviation}};
  if (value == compiler::Normalisation{}) return;
  out.rows.emplace_back("normalisation", fmt::format("/ {}, mean [{}], std [{}]", value.divisor,
                                                     fmt::join(value.mean, ", "), fmt::join(value.deviation, ", ")));
}

/// What images become, and what outputs are called.
void add_outside(Description& out, const compiler::ClientBundle& bundle) {
  out.json["image_resize"] = bundle.image_resize;
  out.json["classes"] = bundle.classes;
  if (bundle.image_resize > 0) {
    out.rows.emplace_back("images",
                          fmt::format("shorter side becomes {}, then the middle is cut out", bundle.image_resize));
  }
  if (bundle.classes.empty()) return;
  out.rows.emplace_back("classes", fmt::format("{}, from {} to {}", bundle.classes.size(), bundle.classes.front(),
                                               bundle.classes.back()));
}

void describe_server_bundle(Description& out, const fs::path& path) {
  const compiler::ServerBundle bundle = compiler::read_server_bundle(path);
  add_model(out, bundle.program.model, bundle.model_id);
  add_parameters(out, bundle.program.parameters);
  add_keys(out, bundle.program.keys);
  add(out, "instructions", "instructions", bundle.program.instructions.size());
  add_prediction(out, bundle.prediction);
}

void describe_client_bundle(Description& out, const fs::path& path) {
  const compiler::ClientBundle bundle = compiler::read_client_bundle(path);
  add_model(out, bundle.model, bundle.model_id);
  add_parameters(out, bundle.parameters);
  add_keys(out, bundle.keys);
  out.rows.emplace_back("input, output",
                        service::format_shape(bundle.input_shape) + ", " + service::format_shape(bundle.output_shape));
  out.json["input_shape"] = bundle.input_shape;
  out.json["output_shape"] = bundle.output_shape;
  add_normalisation(out, bundle.normalisation);
  add_outside(out, bundle);
  add(out, "input bound", "input_bound", bundle.input_bound);
  add(out, "output bound", "output_bound", bundle.output_bound);
  add_prediction(out, bundle.prediction);
}

void describe_evaluation_keys(Description& out, const fs::path& path) {
  const service::EvaluationKeyFile file(path);
  add_binding(out, file.binding());
  add_parameters(out, file.parameters());
  ckks::KeyRequest request;
  for (const ckks::KeyName& key : file.keys()) {
    if (key.kind == ckks::KeyKind::kRelinearisation) request.relinearisation_sets.push_back(key.set);
    if (key.kind == ckks::KeyKind::kGalois) request.galois.emplace_back(key.set, key.galois);
    if (key.kind == ckks::KeyKind::kToSparse) request.encapsulation = true;
  }
  add_keys(out, request);
}

void describe_ciphertext(Description& out, const fs::path& path) {
  const service::CiphertextFile file(path);
  const service::CiphertextHead& head = file.head();
  add(out, "role", "role", std::string(to_string(head.role)));
  add_binding(out, head.binding);
  add_parameters(out, file.parameters());
  add(out, "inputs", "inputs", head.tensors);
  add(out, "ciphertexts an input", "ciphertexts", head.ciphertexts);
  add(out, "seeded", "seeded", head.seeded);
  const auto first = file.read(*ckks::Parameters::create(file.parameters()), 0);
  add(out, "level", "level", first.front().level);
  add(out, "scale", "scale", first.front().scale);
}

void describe_secret_key(Description& out, const ContainerReader& file, const fs::path& path) {
  SectionData head(file, file.section(service::kHeadSection));
  const service::Binding binding = service::read_binding(head.in);
  add_binding(out, binding);
  add_parameters(out, service::read_parameter_section(file));
  const fs::perms mode = fs::status(path).permissions() & fs::perms::mask;
  add(out, "mode", "mode", fmt::format("{:04o}", static_cast<unsigned>(mode)));
  const bool open = (mode & (fs::perms::group_all | fs::perms::others_all)) != fs::perms::none;
  if (open) out.rows.emplace_back("WARNING", "others than the owner may access this secret key: chmod 600");
  out.json["owner_only"] = !open;
}

void describe_contents(Description& out, const ContainerReader& file, const fs::path& path) {
  switch (file.kind()) {
    case FileKind::kServerBundle:
      return describe_server_bundle(out, path);
    case FileKind::kClientBundle:
      return describe_client_bundle(out, path);
    case FileKind::kEvaluationKeys:
      return describe_evaluation_keys(out, path);
    case FileKind::kCiphertext:
      return describe_ciphertext(out, path);
    case FileKind::kSecretKey:
      return describe_secret_key(out, file, path);
    case FileKind::kParameters:
      return add_parameters(out, service::read_parameter_section(file));
    case FileKind::kPublicKey:
    case FileKind::kCheckpoint:
    case FileKind::kCheckpointValue:
      return;
  }
}

/// Sections with their sizes; runs of equal tags (one a key, one a tensor) become one line.
void add_sections(Description& out, const ContainerReader& file) {
  struct Group {
    SectionTag tag;
    std::uint64_t count, bytes;
  };
  std::vector<Group> groups;
  for (const SectionInfo& section : file.sections()) {
    if (groups.empty() || groups.back().tag != section.tag) groups.push_back({section.tag, 0, 0});
    ++groups.back().count;
    groups.back().bytes += section.length;
  }
  Json list = Json::array();
  for (const Group& group : groups) {
    const std::string tag = to_string_tag(group.tag);
    const std::string times = group.count > 1 ? fmt::format("{} x ", group.count) : "";
    out.rows.emplace_back("section " + tag,
                          times + format_bytes(static_cast<double>(group.bytes) / static_cast<double>(group.count)));
    list.push_back({{"tag", tag}, {"count", group.count}, {"bytes", group.bytes}});
  }
  out.json["sections"] = list;
}

}  // namespace

Description describe_file(const fs::path& path) {
  const ContainerReader file(path);
  Description out;
  add(out, "file", "file", path.string());
  add(out, "kind", "kind", std::string(to_string(file.kind())));
  add(out, "format version", "version", file.version());
  out.rows.emplace_back("size", format_bytes(static_cast<double>(file.size())));
  out.json["bytes"] = file.size();
  std::string problem;
  try {
    file.verify();
    describe_contents(out, file, path);
  } catch (const Error& error) {
    problem = error.what();
  }
  add_sections(out, file);
  out.json["intact"] = problem.empty();
  out.rows.emplace_back("checksums", problem.empty() ? "all correct" : "PROBLEM: " + printable(problem));
  if (!problem.empty()) out.json["problem"] = problem;
  return out;
}

}  // namespace hearth::cli
