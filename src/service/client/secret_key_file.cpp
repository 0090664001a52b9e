#include "service/client/secret_key_file.h"

#include "base/error.h"
#include "base/wipe.h"

namespace hearth::service {
namespace {

constexpr std::size_t kPerByte = 4;  // two bits a coefficient

/// Wipes a vector when a scope ends, however it ends.
template <typename T>
struct Wiped {
  std::vector<T> values;
  ~Wiped() { secure_wipe(values); }
};

/// Two's complement in two bits: 0, 1 and 3 (-1); 2 is impossible.
Wiped<std::byte> pack(const std::vector<std::int8_t>& coefficients) {
  Wiped<std::byte> out{std::vector<std::byte>((coefficients.size() + kPerByte - 1) / kPerByte)};
  for (std::size_t i = 0; i < coefficients.size(); ++i) {
    out.values[i / kPerByte] |= static_cast<std::byte>((coefficients[i] & 3) << 2 * (i % kPerByte));
  }
  return out;
}

std::vector<std::int8_t> unpack(std::span<const std::byte> packed, std::size_t count, const std::string& name) {
  require(packed.size() == (count + kPerByte - 1) / kPerByte, ErrorKind::kCorrupt,
          "{} holds {} bytes of coefficients, expected {}", name, packed.size(), (count + kPerByte - 1) / kPerByte);
  Wiped<std::int8_t> out{std::vector<std::int8_t>(count)};
  unsigned impossible = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned bits = std::to_integer<unsigned>(packed[i / kPerByte]) >> 2 * (i % kPerByte) & 3U;
    impossible |= bits & ~(bits << 1) & 2U;
    out.values[i] = static_cast<std::int8_t>(static_cast<int>(bits ^ 2U) - 2);
  }
  require(impossible == 0, ErrorKind::kCorrupt, "{} holds a coefficient that is none of -1, 0, 1", name);
  return std::move(out.values);
}

ClientSecret read(const ContainerReader& file) {
  file.require_kind(FileKind::kSecretKey);
  require_sections(file, {kHeadSection, kParameterSection}, kTernarySection, 1);
  SectionData head(file, file.section(kHeadSection));
  Binding binding = read_binding(head.in);
  head.in.expect_end();
  const ckks::ParameterSpec spec = read_parameter_section(file);
  auto parameters = naming(file.name(), [&] { return ckks::Parameters::create(spec); });
  require(binding.parameters_id == parameters->id(), ErrorKind::kCorrupt,
          "{} is damaged: it was made for parameters {:016x}, but holds {:016x}", file.name(), binding.parameters_id,
          parameters->id());
  Buffer<std::byte> packed = file.read_section(kTernarySection);
  Wiped<std::int8_t> coefficients;
  try {
    coefficients.values = unpack(packed.span(), parameters->n(), file.name());
  } catch (...) {
    secure_wipe(packed);
    throw;
  }
  secure_wipe(packed);
  return naming(file.name(), [&] {
    return ClientSecret{std::move(binding), ckks::SecretKey(std::move(parameters), std::move(coefficients.values))};
  });
}

}  // namespace

void prepare_secret_key(ContainerWriter& out, const ClientSecret& secret) {
  out.add_section(kHeadSection, [&](ByteWriter& bytes) { write_binding(bytes, secret.binding); });
  write_parameter_section(out, secret.key.parameters().spec());
  const Wiped<std::byte> packed = pack(secret.key.coefficients());
  out.add_section(kTernarySection, packed.values);
  out.prepare();
}

void write_secret_key(const std::filesystem::path& path, const ClientSecret& secret) {
  ContainerWriter out(path, FileKind::kSecretKey);
  prepare_secret_key(out, secret);
  out.finish();
}

ClientSecret read_secret_key(const std::filesystem::path& path) { return read(ContainerReader(path)); }
ClientSecret read_secret_key(std::span<const std::byte> bytes) { return read(ContainerReader(bytes, "secret key")); }

}  // namespace hearth::service
