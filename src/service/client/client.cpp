#include "service/client/client.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "base/error.h"
#include "base/parallel.h"
#include "base/wipe.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"
#include "service/wire/ciphertext_file.h"
#include "service/wire/input_batch.h"

namespace hearth::service {
namespace {

using Slots = std::vector<double>;
using compiler::Layout;
using compiler::Place;

ckks::ParametersPtr make_parameters(const compiler::ClientBundle& bundle, const std::string& name,
                                    bool allow_insecure) {
  auto parameters = naming(name, [&] { return ckks::Parameters::create(bundle.parameters); });
  require(allow_insecure || parameters->security().at_least_128, ErrorKind::kSecurity,
          "{} asks for parameters that do not reach 128 bits of security (log2(QP) = {:.0f}, at most {:.0f} at ring "
          "degree 2^{}): do not use it for data that matters; compile without --insecure",
          name, parameters->security().log_qp, parameters->security().limit, parameters->log_n());
  return parameters;
}

KeyId random_key_id() {
  const ring::Seed seed = ring::random_seed();
  KeyId id;
  std::copy_n(seed.begin(), id.size(), id.begin());
  return id;
}

void require_absent(const std::filesystem::path& secret_file, bool overwrite) {
  require(overwrite || !std::filesystem::exists(secret_file), ErrorKind::kInvalidArgument,
          "{} exists: replacing a secret key makes everything encrypted with it unreadable; choose another folder, or "
          "say --force",
          secret_file.string());
}

/// Slot vectors of one period, one a ciphertext.
std::vector<Slots> place_values(const Layout& layout, std::span<const float> values) {
  std::vector<Slots> slots(static_cast<std::size_t>(layout.ciphertexts),
                           Slots(static_cast<std::size_t>(layout.period)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Place& place = layout.places[i];
    if (place.ciphertext < 0) continue;
    slots[static_cast<std::size_t>(place.ciphertext)][static_cast<std::size_t>(place.slot)] = values[i];
  }
  return slots;
}

/// Mean over the repetitions of a slot vector of period `period`: the noise of a repetition is partly independent of
/// the others', so this is more precise than any one of them.
Slots average_repetitions(const std::vector<std::complex<double>>& slots, std::size_t period) {
  Slots out(period);
  for (std::size_t i = 0; i < slots.size(); ++i) out[i % period] += slots[i].real();
  for (double& value : out) value *= static_cast<double>(period) / static_cast<double>(slots.size());
  return out;
}

}  // namespace

Client::Client(const std::filesystem::path& bundle, bool allow_insecure)
    : name_(bundle.string()),
      bundle_(compiler::read_client_bundle(bundle)),
      parameters_(make_parameters(bundle_, name_, allow_insecure)),
      encoder_(parameters_) {}

Binding Client::binding_with(const KeyId& key_id) const {
  return {.model = bundle_.model, .model_id = bundle_.model_id, .parameters_id = parameters_->id(), .key_id = key_id};
}

void Client::make_keys(const std::filesystem::path& secret_file, const std::filesystem::path& evaluation_file,
                       bool overwrite, const ProgressFunction& progress) const {
  require_absent(secret_file, overwrite);
  const ClientSecret secret{binding_with(random_key_id()), ckks::generate_secret_key(parameters_)};
  ring::Seed seed = ring::random_seed();
  const ckks::KeyGenerator generator(secret.key, seed);
  secure_wipe(seed.data(), seed.size());
  EvaluationKeyWriter out(evaluation_file, secret.binding, parameters_->spec(), bundle_.keys);
  const std::vector<ckks::KeyName> names = ckks::key_names(bundle_.keys, parameters_->key_set_count() - 1);
  const auto batch = static_cast<std::size_t>(std::max(threads(), 1));
  for (std::size_t first = 0; first < names.size(); first += batch) {
    std::vector<ckks::SwitchingKey> keys(std::min(batch, names.size() - first));
    parallel_for(0, keys.size(), [&](std::size_t i) { keys[i] = generator.key(names[first + i]); });
    for (const ckks::SwitchingKey& key : keys) out.add(key);
    if (progress) progress(static_cast<double>(first + keys.size()), static_cast<double>(names.size()));
  }
  out.prepare();
  ContainerWriter secret_out(secret_file, FileKind::kSecretKey);
  prepare_secret_key(secret_out, secret);
  require_absent(secret_file, overwrite);  // making keys took a while
  out.finish();
  secret_out.finish();
}

ClientSecret Client::load_secret(const std::filesystem::path& file) const {
  ClientSecret secret = read_secret_key(file);
  require_same_model(secret.binding, file.string(), binding_with({}), name_);
  return secret;
}

double Client::check_range(std::span<const float> input, const std::string& name) const {
  double largest = 0;
  for (std::size_t i = 0; i < input.size(); ++i) {
    require(std::isfinite(input[i]), ErrorKind::kInvalidArgument, "{} holds {} at position {}, expected finite numbers",
            name, input[i], i);
    largest = std::max(largest, std::abs(static_cast<double>(input[i])));
  }
  require(bundle_.input_bound <= 0 || largest <= kRefusedFactor * bundle_.input_bound, ErrorKind::kInvalidArgument,
          "{} reaches {:.4g}, but the calibration inputs of \"{}\" only {:.4g}: give inputs as the calibration "
          "inputs were given, or compile with --divide, --mean, --std",
          name, largest, bundle_.model, bundle_.input_bound);
  return largest;
}

std::vector<ckks::SeededCiphertext> Client::encrypt(const ClientSecret& secret, std::span<const float> input) const {
  require(input.size() == bundle_.input_layout.places.size(), ErrorKind::kInvalidArgument,
          "an input of {} values, the model expects {} ({})", input.size(), bundle_.input_layout.places.size(),
          format_shape(bundle_.input_shape));
  const std::vector<float> values = normalised(input, bundle_.normalisation, bundle_.input_shape);
  check_range(values, "the input");
  return encrypt_normalised(secret, values);
}

std::vector<ckks::SeededCiphertext> Client::encrypt_normalised(const ClientSecret& secret,
                                                               std::span<const float> input) const {
  std::vector<ckks::SeededCiphertext> out;
  for (Slots& slots : place_values(bundle_.input_layout, input)) {
    ckks::Plaintext plain =
        encoder_.encode(std::span<const double>(slots), bundle_.input_scale, parameters_->q_basis(bundle_.input_level),
                        /*montgomery=*/false);
    out.push_back(ckks::encrypt_seeded(secret.key, plain, bundle_.input_level));
    secure_wipe(slots);
  }
  return out;
}

std::vector<float> Client::decrypt(const ClientSecret& secret, std::span<const ckks::Ciphertext> output) const {
  const Layout& layout = bundle_.output_layout;
  require(output.size() == static_cast<std::size_t>(layout.ciphertexts), ErrorKind::kMismatch,
          "an output of {} ciphertexts, the model \"{}\" gives {}", output.size(), bundle_.model, layout.ciphertexts);
  std::vector<Slots> slots;
  for (const ckks::Ciphertext& c : output) {
    const bool scale_fits = std::abs(c.scale / bundle_.output_scale - 1) < 1e-6;
    require(c.level == bundle_.output_level && scale_fits, ErrorKind::kMismatch,
            "an output at level {} and scale {:.6g}, the model \"{}\" gives level {} and scale {:.6g}", c.level,
            c.scale, bundle_.model, bundle_.output_level, bundle_.output_scale);
    slots.push_back(
        average_repetitions(ckks::decrypt_slots(secret.key, encoder_, c), static_cast<std::size_t>(layout.period)));
  }
  std::vector<float> values;
  for (const Place& place : layout.places) {
    const bool absent = place.ciphertext < 0;
    values.push_back(
        absent ? 0.0F
               : static_cast<float>(
                     slots[static_cast<std::size_t>(place.ciphertext)][static_cast<std::size_t>(place.slot)]));
  }
  return values;
}

EncryptReport Client::encrypt_file(const ClientSecret& secret, const NpyArray& inputs, const std::string& name,
                                   std::size_t first, std::size_t count, const std::filesystem::path& output,
                                   const ProgressFunction& progress) const {
  const std::size_t available = count_inputs(inputs, bundle_.input_shape, name);
  require(count >= 1 && count <= kMaxTensors && first < available && count <= available - first,
          ErrorKind::kInvalidArgument, "{} has {} inputs, {} from number {} were asked for", name, available, count,
          first);
  EncryptReport report;
  report.inputs = count;
  const CiphertextHead head{.binding = secret.binding,
                            .role = CiphertextRole::kInput,
                            .seeded = true,
                            .tensors = static_cast<std::uint32_t>(count),
                            .ciphertexts = static_cast<std::uint32_t>(bundle_.input_layout.ciphertexts)};
  CiphertextWriter out(output, head, parameters_->spec());
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<float> input =
        normalised(input_at(inputs, bundle_.input_shape, first + i), bundle_.normalisation, bundle_.input_shape);
    const double largest = check_range(input, fmt::format("input {} of {}", first + i, name));
    if (bundle_.input_bound > 0 && largest > 1.5 * bundle_.input_bound) {
      report.warnings.push_back(
          fmt::format("input {} reaches {:.4g}, calibration inputs only {:.4g}: its output may "
                      "be wrong",
                      first + i, largest, bundle_.input_bound));
    }
    report.largest = std::max(report.largest, static_cast<float>(largest));
    out.add(encrypt_normalised(secret, input));
    if (progress) progress(static_cast<double>(i + 1), static_cast<double>(count));
  }
  out.finish();
  return report;
}

NpyArray Client::decrypt_file(const ClientSecret& secret, const std::filesystem::path& input, DecryptReport* report,
                              const ProgressFunction& progress) const {
  const CiphertextFile file(input);
  file.require_role(CiphertextRole::kOutput);
  require_same_model(file.head().binding, file.name(), binding_with({}), name_);
  require_same_key(file.head().binding, file.name(), secret.binding, "the secret key given");
  NpyArray out;
  out.shape.assign(bundle_.output_shape.begin(), bundle_.output_shape.end());
  if (out.shape.empty() || out.shape.front() != 1) out.shape.insert(out.shape.begin(), 1);
  out.shape.front() = file.head().tensors;
  for (std::uint32_t i = 0; i < file.head().tensors; ++i) {
    const std::vector<float> values = decrypt(secret, file.read(*parameters_, i));
    const auto beyond = [&](float value) { return std::abs(value) > 0.95 * bundle_.output_bound; };
    if (report && bundle_.output_bound > 0 && std::any_of(values.begin(), values.end(), beyond)) {
      report->warnings.push_back(
          fmt::format("output {} is close to the largest value that outputs can have ({:.4g}) and may have wrapped "
                      "around: compile with a larger --margin",
                      i, bundle_.output_bound));
    }
    out.values.insert(out.values.end(), values.begin(), values.end());
    if (progress) progress(i + 1.0, file.head().tensors);
  }
  return out;
}

}  // namespace hearth::service
