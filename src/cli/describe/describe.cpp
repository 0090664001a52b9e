#include "cli/describe/describe.h"

#include <fmt/format.h>

namespace hearth::cli {
namespace {

std::string security_text(double bits, double log_qp, double limit) {
  if (limit <= 0) return fmt::format("unknown (log2 QP = {:.1f}, no estimate for this ring degree and secret)", log_qp);
  return fmt::format("about {:.0f} bits (log2 QP = {:.1f}; 128 bits allow {:.0f})", bits, log_qp, limit);
}

std::string join(const std::vector<int>& values) { return fmt::format("{}", fmt::join(values, " ")); }

}  // namespace

std::string secret_name(const ckks::ParameterSpec& spec) {
  return spec.secret == ckks::SecretKind::kUniformTernary ? "uniform ternary"
                                                          : fmt::format("ternary, h = {}", spec.hamming_weight);
}

Json to_json(const compiler::Prediction& p) {
  return {{"log_n", p.log_n},
          {"security_bits", p.security_bits},
          {"log_qp", p.log_qp},
          {"log_qp_limit", p.log_qp_limit},
          {"levels", p.levels},
          {"rotation_keys", p.rotation_keys},
          {"key_bytes_file", p.key_bytes_file},
          {"key_bytes_memory", p.key_bytes_memory},
          {"input_bytes", p.input_bytes},
          {"output_bytes", p.output_bytes},
          {"plaintext_bytes", p.plaintext_bytes},
          {"seconds", p.seconds},
          {"threads", p.threads},
          {"peak_bytes", p.peak_bytes},
          {"moved_bytes", p.moved_bytes},
          {"output_error", p.output_error},
          {"output_rms", p.output_rms}};
}

Rows describe(const compiler::Prediction& p) {
  const double relative = p.output_rms > 0 ? p.output_error / p.output_rms : 0;
  return {
      {"ring degree", fmt::format("{} (2^{}), {} slots", 1 << p.log_n, p.log_n, (1 << p.log_n) / 2)},
      {"security", security_text(p.security_bits, p.log_qp, p.log_qp_limit)},
      {"levels", fmt::format("{}", p.levels)},
      {"rotation keys", fmt::format("{}", p.rotation_keys)},
      {"evaluation keys",
       fmt::format("{} to upload, {} in memory", format_bytes(p.key_bytes_file), format_bytes(p.key_bytes_memory))},
      {"encoded weights", format_bytes(p.plaintext_bytes)},
      {"input, output", fmt::format("{}, {}", format_bytes(p.input_bytes), format_bytes(p.output_bytes))},
      {"expected time",
       fmt::format("{} an input on {} thread{}", format_seconds(p.seconds), p.threads, p.threads == 1 ? "" : "s")},
      {"expected peak memory", format_bytes(p.peak_bytes)},
      {"expected data moved", fmt::format("{} an input", format_bytes(p.moved_bytes))},
      // The noise model takes activations to pass on all errors, which in deep networks says nothing any more.
      {"expected error", relative < 1 ? fmt::format("{:.1e} rms, {:.1e} of the outputs' rms", p.output_error, relative)
                                      : "no bound from the noise model; see the simulated accuracy"}};
}

/// How many digits keys have, by the levels that they serve.
std::string key_sets_text(const ckks::Parameters& parameters) {
  std::string text;
  int first = 0;
  for (int set = 0; set < parameters.key_set_count(); ++set) {
    const ckks::KeySetSpec& keys = parameters.spec().key_sets[static_cast<std::size_t>(set)];
    const std::size_t digits = parameters.digits(set, keys.max_level).size();
    text +=
        fmt::format("{}level{} {}: {} digit{} of {}", set == 0 ? "" : "; ", first == keys.max_level ? "" : "s",
                    first == keys.max_level ? fmt::format("{}", first) : fmt::format("{}-{}", first, keys.max_level),
                    digits, digits == 1 ? "" : "s", keys.digit_primes);
    first = keys.max_level + 1;
  }
  return text;
}

Json to_json(const ckks::Parameters& parameters) {
  const ckks::ParameterSpec& spec = parameters.spec();
  const ckks::SecurityReport& security = parameters.security();
  return {{"id", fmt::format("{:016x}", parameters.id())},
          {"log_n", spec.log_n},
          {"levels", parameters.max_level()},
          {"level_bits", spec.levels},
          {"special_bits", spec.special_bits},
          {"key_sets", spec.key_sets.size()},
          {"secret", secret_name(spec)},
          {"security_bits", security.estimated_bits},
          {"at_least_128", security.at_least_128},
          {"log_qp", security.log_qp},
          {"log_qp_limit", security.limit},
          {"security_source", security.source}};
}

Rows describe(const ckks::Parameters& parameters) {
  const ckks::ParameterSpec& spec = parameters.spec();
  const ckks::SecurityReport& security = parameters.security();
  std::vector<int> bits;
  for (const auto& level : spec.levels) bits.insert(bits.end(), level.begin(), level.end());
  return {{"parameters", fmt::format("{:016x}", parameters.id())},
          {"ring degree", fmt::format("{} (2^{}), {} slots", parameters.n(), spec.log_n, parameters.slots())},
          {"secret", secret_name(spec)},
          {"security", security_text(security.estimated_bits, security.log_qp, security.limit)},
          {"levels", fmt::format("{}", parameters.max_level())},
          {"prime bits", fmt::format("{} | special {}", join(bits), join(spec.special_bits))},
          {"key sets", key_sets_text(parameters)}};
}

}  // namespace hearth::cli
