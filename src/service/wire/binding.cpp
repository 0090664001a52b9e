#include "service/wire/binding.h"

#include "base/error.h"
#include "ckks/serialize.h"

namespace hearth::service {

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

void write_binding(ByteWriter& out, const Binding& binding) {
  out.string(binding.model);
  out.span(std::span<const std::uint8_t>(binding.model_id));
  out.u64(binding.parameters_id);
  out.span(std::span<const std::uint8_t>(binding.key_id));
}

Binding read_binding(ByteReader& in) {
  Binding out;
  out.model = in.string();
  in.read_into(std::span(out.model_id));
  out.parameters_id = in.u64();
  in.read_into(std::span(out.key_id));
  return out;
}

void require_same_model(const Binding& a, const std::string& file, const Binding& b, const std::string& other) {
  require(a.model_id == b.model_id, ErrorKind::kMismatch,
          "{} belongs to model \"{}\" (id {}), but {} to model \"{}\" (id {}): use files made from one compilation",
          file, a.model, to_hex(a.model_id), other, b.model, to_hex(b.model_id));
  require(a.parameters_id == b.parameters_id, ErrorKind::kMismatch,
          "{} was made with parameters {:016x}, {} with {:016x}: use files made from one compilation", file,
          a.parameters_id, other, b.parameters_id);
}

void require_same_key(const Binding& a, const std::string& file, const Binding& b, const std::string& other) {
  require(a.key_id == b.key_id, ErrorKind::kMismatch,
          "{} belongs to secret key {}, but {} to secret key {}: use files made with one secret key", file,
          to_hex(a.key_id), other, to_hex(b.key_id));
}

ckks::ParameterSpec read_parameter_section(const ContainerReader& file) {
  SectionData section(file, file.section(kParameterSection));
  ckks::ParameterSpec spec = ckks::read_parameter_spec(section.in);
  section.in.expect_end();
  return spec;
}

void write_parameter_section(ContainerWriter& out, const ckks::ParameterSpec& spec) {
  out.add_section(kParameterSection, [&](ByteWriter& bytes) { ckks::write(bytes, spec); });
}

void require_sections(const ContainerReader& file, std::initializer_list<SectionTag> first, SectionTag repeated,
                      std::size_t count) {
  const auto& sections = file.sections();
  require(sections.size() == first.size() + count, ErrorKind::kCorrupt, "{} ({}) has {} sections, expected {}",
          file.name(), to_string(file.kind()), sections.size(), first.size() + count);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const SectionTag expected = i < first.size() ? first.begin()[i] : repeated;
    require(sections[i].tag == expected, ErrorKind::kCorrupt, "{} ({}) has section {} where {} is expected",
            file.name(), to_string(file.kind()), to_string_tag(sections[i].tag), to_string_tag(expected));
  }
}

void require_public_kind(const ContainerReader& file, FileKind expected) {
  require(file.kind() != FileKind::kSecretKey, ErrorKind::kSecurity,
          "{} is a SECRET KEY, expected {}: a secret key never leaves its owner and has no place here", file.name(),
          to_string(expected));
  file.require_kind(expected);
}

}  // namespace hearth::service
