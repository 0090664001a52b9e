#include "compiler/program/bundle.h"

#include <algorithm>
#include <cstring>

#include "base/container.h"
#include "base/error.h"
#include "base/section_data.h"
#include "ckks/serialize.h"
#include "compiler/program/program_bytes.h"

namespace hearth::compiler {
namespace {

constexpr SectionTag kParameters = section_tag("PARM");
constexpr SectionTag kProgram = section_tag("PROG");
constexpr SectionTag kWeights = section_tag("WGHT");
constexpr SectionTag kClient = section_tag("CLNT");
constexpr SectionTag kPrediction = section_tag("PRED");
constexpr SectionTag kModelId = section_tag("MDID");

using ModelId = std::array<std::uint8_t, 16>;

/// A bundle holds exactly these sections, in this order: nothing else, above all no key, can travel inside one.
void expect_sections(const ContainerReader& file, std::initializer_list<SectionTag> expected) {
  const auto& sections = file.sections();
  const bool same = std::equal(sections.begin(), sections.end(), expected.begin(), expected.end(),
                               [](const SectionInfo& section, SectionTag tag) { return section.tag == tag; });
  if (same) return;
  std::string found, wanted;
  for (const SectionInfo& section : sections) found += " " + to_string_tag(section.tag);
  for (const SectionTag tag : expected) wanted += " " + to_string_tag(tag);
  fail(ErrorKind::kCorrupt, "{} ({}) has sections{}, expected exactly{}", file.name(), to_string(file.kind()),
       found.empty() ? " none" : found, wanted);
}

ModelId hash_of_checksums(const Checksum& parameters, const Checksum& program, const Checksum& weights) {
  std::array<std::byte, 3 * sizeof(Checksum)> joined;
  auto* out = joined.data();
  for (const Checksum* part : {&parameters, &program, &weights}) out = std::copy(part->begin(), part->end(), out);
  const Checksum hash = checksum_of(joined);
  ModelId id;
  std::memcpy(id.data(), hash.data(), id.size());
  return id;
}

std::vector<std::byte> parameter_bytes(const ckks::ParameterSpec& spec) {
  ByteWriter out;
  ckks::write(out, spec);
  return out.take();
}

struct ProgramBytes {
  explicit ProgramBytes(const Program& value) : parameters(parameter_bytes(value.parameters)) {
    ByteWriter structure_out, weights_out;
    write_program(structure_out, weights_out, value);
    program = structure_out.take();
    weights = weights_out.take();
  }
  ModelId id() const { return hash_of_checksums(checksum_of(parameters), checksum_of(program), checksum_of(weights)); }
  std::vector<std::byte> parameters, program, weights;
};

void add_common(ContainerWriter& out, const Prediction& prediction, const ModelId& id) {
  out.add_section(kPrediction, [&](ByteWriter& bytes) { write_prediction(bytes, prediction); });
  out.add_section(kModelId, std::as_bytes(std::span(id)));
}

ModelId read_id(const ContainerReader& file) {
  SectionData section(file, kModelId);
  ModelId id;
  section.in.read_into(std::span(id));
  section.in.expect_end();
  return id;
}

Prediction prediction_of(const ContainerReader& file) {
  SectionData section(file, kPrediction);
  const Prediction prediction = read_prediction(section.in);
  section.in.expect_end();
  return prediction;
}

/// Runs `body`; what it throws about the contents of a file becomes an error that names the file.
template <typename Body>
auto naming(const ContainerReader& file, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    const bool blames_caller = error.kind() == ErrorKind::kInvalidArgument;
    throw Error(blames_caller ? ErrorKind::kCorrupt : error.kind(), fmt::format("{}: {}", file.name(), error.what()));
  }
}

ckks::ParametersPtr read_parameters(const ContainerReader& file) {
  SectionData section(file, kParameters);
  const ckks::ParameterSpec spec = ckks::read_parameter_spec(section.in);
  section.in.expect_end();
  return naming(file, [&] { return ckks::Parameters::create(spec); });
}

void require_bundle(const ContainerReader& file, FileKind kind) {
  file.require_kind(kind);
  require(file.version() == format_version(kind), ErrorKind::kUnsupported,
          "{} ({}) has format version {}, this program reads version {}: compile the model again", file.name(),
          to_string(kind), file.version(), format_version(kind));
}

/// Progress divides by their sum, and goes only forward.
void check_times(const ContainerReader& file, const ServerBundle& bundle) {
  const std::vector<double>& times = bundle.prediction.instruction_seconds;
  const std::size_t instructions = bundle.program.instructions.size();
  require(times.empty() || times.size() == instructions, ErrorKind::kCorrupt,
          "{} predicts times of {} instructions, its program has {}", file.name(), times.size(), instructions);
  require(std::ranges::all_of(times, [](double t) { return t >= 0; }), ErrorKind::kCorrupt,
          "{} predicts a negative time", file.name());
}

ServerBundle server_of(const ContainerReader& file) {
  require_bundle(file, FileKind::kServerBundle);
  expect_sections(file, {kParameters, kProgram, kWeights, kPrediction, kModelId});
  ServerBundle bundle;
  bundle.prediction = prediction_of(file);
  bundle.model_id = read_id(file);
  const ModelId expected = hash_of_checksums(file.section(kParameters).checksum, file.section(kProgram).checksum,
                                             file.section(kWeights).checksum);
  require(bundle.model_id == expected, ErrorKind::kCorrupt,
          "{} is damaged: its model id does not belong to its program", file.name());
  const auto parameters = read_parameters(file);
  SectionData program(file, kProgram);
  SectionData weights(file, kWeights);
  bundle.program = read_program(program.in, weights.in, *parameters);
  naming(file, [&] { check(bundle.program, *parameters); });
  check_times(file, bundle);
  return bundle;
}

ClientBundle client_of(const ContainerReader& file) {
  require_bundle(file, FileKind::kClientBundle);
  expect_sections(file, {kParameters, kClient, kPrediction, kModelId});
  ClientBundle bundle;
  bundle.prediction = prediction_of(file);
  bundle.model_id = read_id(file);
  const auto parameters = read_parameters(file);
  bundle.parameters = parameters->spec();
  SectionData client(file, kClient);
  read_client(client.in, *parameters, bundle);
  return bundle;
}

}  // namespace

void write_bundle(const std::filesystem::path& path, const ServerBundle& bundle) {
  const ProgramBytes bytes(bundle.program);
  require(bundle.model_id == bytes.id(), ErrorKind::kInvalidArgument,
          "the server bundle for {} carries the id of another program: set it to model_id(program)", path.string());
  ContainerWriter out(path, FileKind::kServerBundle);
  out.add_section(kParameters, bytes.parameters);
  out.add_section(kProgram, bytes.program);
  out.add_section(kWeights, bytes.weights);
  add_common(out, bundle.prediction, bundle.model_id);
  out.finish();
}

void write_bundle(const std::filesystem::path& path, const ClientBundle& bundle) {
  ContainerWriter out(path, FileKind::kClientBundle);
  out.add_section(kParameters, parameter_bytes(bundle.parameters));
  out.add_section(kClient, [&](ByteWriter& bytes) { write_client(bytes, bundle); });
  add_common(out, bundle.prediction, bundle.model_id);
  out.finish();
}

ServerBundle read_server_bundle(const std::filesystem::path& path) { return server_of(ContainerReader(path)); }
ClientBundle read_client_bundle(const std::filesystem::path& path) { return client_of(ContainerReader(path)); }
ServerBundle read_server_bundle(std::span<const std::byte> bytes) {
  return server_of(ContainerReader(bytes, "server bundle"));
}
ClientBundle read_client_bundle(std::span<const std::byte> bytes) {
  return client_of(ContainerReader(bytes, "client bundle"));
}

std::array<std::uint8_t, 16> model_id(const Program& program) { return ProgramBytes(program).id(); }

}  // namespace hearth::compiler
