#include "service/wire/ciphertext_file.h"

#include "base/error.h"
#include "ckks/serialize.h"

namespace hearth::service {
namespace {

constexpr SectionTag kTensorSection = section_tag("TNSR");
constexpr std::uint32_t kMaxCiphertexts = 1U << 16;

void write_head(ByteWriter& out, const CiphertextHead& head) {
  write_binding(out, head.binding);
  out.u8(static_cast<std::uint8_t>(head.role));
  out.boolean(head.seeded);
  out.u32(head.tensors);
  out.u32(head.ciphertexts);
}

CiphertextHead read_head(ByteReader& in) {
  CiphertextHead head;
  head.binding = read_binding(in);
  const std::uint8_t role = in.u8();
  require(role == 1 || role == 2, ErrorKind::kCorrupt, "{} has role {}, expected 1 (input) or 2 (output)", in.what(),
          role);
  head.role = static_cast<CiphertextRole>(role);
  head.seeded = in.boolean();
  head.tensors = in.u32_in(1, kMaxTensors, "number of tensors");
  head.ciphertexts = in.u32_in(1, kMaxCiphertexts, "ciphertexts of a tensor");
  in.expect_end();
  return head;
}

}  // namespace

std::string_view to_string(CiphertextRole role) {
  return role == CiphertextRole::kInput ? "encrypted input" : "encrypted output";
}

CiphertextWriter::CiphertextWriter(const std::filesystem::path& path, const CiphertextHead& head,
                                   const ckks::ParameterSpec& spec)
    : out_(path, FileKind::kCiphertext), head_(head) {
  require(head.tensors >= 1 && head.tensors <= kMaxTensors, ErrorKind::kInvalidArgument,
          "a ciphertext file holds 1 to {} inputs, not {}: split them over several files", kMaxTensors, head.tensors);
  out_.add_section(kHeadSection, [&](ByteWriter& bytes) { write_head(bytes, head); });
  write_parameter_section(out_, spec);
}

template <typename C>
void CiphertextWriter::add_tensor(const std::vector<C>& tensor) {
  constexpr bool kSeeded = std::is_same_v<C, ckks::SeededCiphertext>;
  require(next_ < head_.tensors && tensor.size() == head_.ciphertexts && head_.seeded == kSeeded, ErrorKind::kInternal,
          "tensor {} of a ciphertext file does not fit its head", next_);
  out_.add_section(kTensorSection, [&](ByteWriter& bytes) {
    for (const C& c : tensor) ckks::write(bytes, c);
  });
  ++next_;
}

void CiphertextWriter::add(const std::vector<ckks::Ciphertext>& tensor) { add_tensor(tensor); }
void CiphertextWriter::add(const std::vector<ckks::SeededCiphertext>& tensor) { add_tensor(tensor); }

void CiphertextWriter::finish() {
  require(next_ == head_.tensors, ErrorKind::kInternal, "{} of {} tensors were written", next_, head_.tensors);
  out_.finish();
}

CiphertextFile::CiphertextFile(const std::filesystem::path& path) : file_(path) { open(); }
CiphertextFile::CiphertextFile(std::span<const std::byte> bytes) : file_(bytes, "ciphertext") { open(); }

void CiphertextFile::open() {
  require_public_kind(file_, FileKind::kCiphertext);
  SectionData head(file_, file_.section(kHeadSection));
  head_ = read_head(head.in);
  require_sections(file_, {kHeadSection, kParameterSection}, kTensorSection, head_.tensors);
  spec_ = read_parameter_section(file_);
}

void CiphertextFile::require_role(CiphertextRole role) const {
  if (head_.role == role) return;
  const bool is_input = head_.role == CiphertextRole::kInput;
  fail(ErrorKind::kMismatch, "{} is an {}, expected an {}: {}", name(), to_string(head_.role), to_string(role),
       is_input ? "run the model on it first" : "encrypt an input first");
}

std::vector<ckks::Ciphertext> CiphertextFile::read(const ckks::Parameters& parameters, std::uint32_t index) const {
  require(index < head_.tensors, ErrorKind::kInvalidArgument, "{} has {} inputs, number {} was asked for", name(),
          head_.tensors, index);
  require(head_.binding.parameters_id == parameters.id(), ErrorKind::kMismatch,
          "{} was made with parameters {:016x}, expected {:016x}: use files made from one compilation", name(),
          head_.binding.parameters_id, parameters.id());
  SectionData section(file_, file_.sections()[index + 2]);
  std::vector<ckks::Ciphertext> out;
  for (std::uint32_t i = 0; i < head_.ciphertexts; ++i) {
    out.push_back(head_.seeded ? ckks::expand(parameters, ckks::read_seeded_ciphertext(section.in, parameters))
                               : ckks::read_ciphertext(section.in, parameters));
  }
  section.in.expect_end();
  return out;
}

}  // namespace hearth::service
