#include "runtime/checkpoint_files.h"

#include <cmath>

#include "base/error.h"
#include "base/section_data.h"
#include "ckks/serialize.h"

namespace hearth::runtime {
namespace {

constexpr SectionTag kHeadSection = section_tag("HEAD");
constexpr SectionTag kStepSection = section_tag("STEP");
constexpr SectionTag kValueSection = section_tag("VALU");
constexpr std::uint32_t kMaxInputs = 1U << 19;
constexpr std::uint32_t kMaxInstructions = 1U << 24;
constexpr std::uint32_t kMaxCiphertexts = 1U << 16;

void require_sections(const ContainerReader& file, FileKind kind, SectionTag second) {
  file.require_kind(kind);
  const auto& sections = file.sections();
  require(sections.size() == 2 && sections[0].tag == kHeadSection && sections[1].tag == second, ErrorKind::kCorrupt,
          "{} ({}) has other sections than HEAD and {}", file.name(), to_string(kind), to_string_tag(second));
}

void write_identity(ByteWriter& out, const RunIdentity& identity) {
  out.string(identity.program);
  out.string(identity.model);
  out.span(std::span<const std::uint8_t>(identity.model_id));
  out.u64(identity.parameters_id);
  out.span(std::span<const std::uint8_t>(identity.key_id));
  out.bytes(identity.keys);
  out.bytes(identity.input);
  out.u32(identity.inputs);
}

RunIdentity read_identity(ByteReader& in) {
  RunIdentity out;
  out.program = in.string();
  out.model = in.string();
  in.read_into(std::span(out.model_id));
  out.parameters_id = in.u64();
  in.read_into(std::span(out.key_id));
  in.read_into(std::span(out.keys));
  in.read_into(std::span(out.input));
  out.inputs = in.u32_in(1, kMaxInputs, "number of inputs");
  return out;
}

void write_seconds(ByteWriter& out, const std::vector<double>& seconds) {
  out.u32(static_cast<std::uint32_t>(seconds.size()));
  out.span(seconds);
}

std::vector<double> read_seconds(ByteReader& in) {
  std::vector<double> out(in.read_count(kMaxInstructions, "times", sizeof(double)));
  for (double& seconds : out) {
    seconds = in.finite();
    require(seconds >= 0, ErrorKind::kCorrupt, "{} has a time of {} s", in.what(), seconds);
  }
  return out;
}

void write_values(ByteWriter& out, const std::vector<StoredValue>& values) {
  out.u32(static_cast<std::uint32_t>(values.size()));
  for (const StoredValue& value : values) {
    out.u32(value.instruction);
    out.bytes(value.checksum);
  }
}

std::vector<StoredValue> read_values(ByteReader& in, std::uint32_t most, std::uint32_t end) {
  std::vector<StoredValue> out(in.read_count(most, "values", sizeof(std::uint32_t) + sizeof(Checksum)));
  for (StoredValue& value : out) {
    value.instruction = in.u32();
    require(value.instruction < end, ErrorKind::kCorrupt, "{} has a value of instruction {}, expected less than {}",
            in.what(), value.instruction, end);
    in.read_into(std::span(value.checksum));
  }
  return out;
}

void read_progress(ByteReader& in, Manifest& out) {
  out.finished = read_values(in, out.identity.inputs, out.instructions);
  for (std::uint32_t i = 0; i < out.finished.size(); ++i) out.finished[i].input = i;
  const bool complete = out.finished.size() == out.identity.inputs;
  out.next = in.u32_in(0, complete ? 0 : out.instructions - 1, "next instruction");
  out.seconds = read_seconds(in);
  require(out.seconds.size() == out.next, ErrorKind::kCorrupt, "{} has times of {} instructions, expected {}",
          in.what(), out.seconds.size(), out.next);
  out.live = read_values(in, out.next, out.next);
  for (std::size_t i = 0; i < out.live.size(); ++i) {
    out.live[i].input = static_cast<std::uint32_t>(out.finished.size());
    require(i == 0 || out.live[i - 1].instruction < out.live[i].instruction, ErrorKind::kCorrupt,
            "{} has values out of order", in.what());
  }
  in.expect_end();
}

}  // namespace

void write_manifest(const std::filesystem::path& path, const Manifest& manifest) {
  ContainerWriter out(path, FileKind::kCheckpoint);
  out.add_section(kHeadSection, [&](ByteWriter& bytes) {
    write_identity(bytes, manifest.identity);
    bytes.u32(manifest.instructions);
  });
  out.add_section(kStepSection, [&](ByteWriter& bytes) {
    write_values(bytes, manifest.finished);
    bytes.u32(manifest.next);
    write_seconds(bytes, manifest.seconds);
    write_values(bytes, manifest.live);
  });
  out.finish();
}

Manifest read_manifest(const ContainerReader& file) {
  require_sections(file, FileKind::kCheckpoint, kStepSection);
  Manifest out;
  SectionData head(file, kHeadSection);
  out.identity = read_identity(head.in);
  out.instructions = head.in.u32_in(1, kMaxInstructions, "number of instructions");
  head.in.expect_end();
  SectionData step(file, kStepSection);
  read_progress(step.in, out);
  return out;
}

Checksum write_value(const std::filesystem::path& path, std::uint32_t input, std::uint32_t instruction,
                     const std::vector<double>& seconds, const std::vector<ckks::Ciphertext>& value) {
  ContainerWriter out(path, FileKind::kCheckpointValue);
  out.add_section(kHeadSection, [&](ByteWriter& bytes) {
    bytes.u32(input);
    bytes.u32(instruction);
    bytes.u32(static_cast<std::uint32_t>(value.size()));
    write_seconds(bytes, seconds);
  });
  out.add_section(kValueSection, [&](ByteWriter& bytes) {
    for (const ckks::Ciphertext& c : value) ckks::write(bytes, c);
  });
  out.finish();
  return ContainerReader(path).table_checksum();
}

ValueContents read_value(const ContainerReader& file, const ckks::Parameters& parameters) {
  require_sections(file, FileKind::kCheckpointValue, kValueSection);
  ValueContents out;
  SectionData head(file, kHeadSection);
  out.input = head.in.u32_in(0, kMaxInputs - 1, "number of the input");
  out.instruction = head.in.u32_in(0, kMaxInstructions - 1, "number of the instruction");
  const std::uint32_t ciphertexts = head.in.u32_in(1, kMaxCiphertexts, "ciphertexts");
  out.seconds = read_seconds(head.in);
  head.in.expect_end();
  SectionData value(file, kValueSection);
  for (std::uint32_t i = 0; i < ciphertexts; ++i) out.value.push_back(ckks::read_ciphertext(value.in, parameters));
  value.in.expect_end();
  return out;
}

}  // namespace hearth::runtime
