#include "cli/model/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::cli {
namespace {

using compiler::ActivationReport;

/// The end of a name tells more than its beginning.
std::string shortened(const std::string& name, std::size_t width) {
  const std::string text = printable(name);
  return text.size() <= width ? text : ".." + text.substr(text.size() - width + 2);
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

BootstrapCount count_bootstraps(const compiler::Program& program) {
  BootstrapCount count;
  for (const compiler::Instruction& ins : program.instructions) {
    if (!std::holds_alternative<compiler::ActivationOp>(ins.op)) continue;
    ++count.activations;
    count.ciphertexts += ins.ciphertexts;
    count.bootstraps += (ins.ciphertexts + 1) / 2;
  }
  return count;
}

std::string activation_table(const std::vector<ActivationReport>& activations) {
  if (activations.empty()) return {};
  constexpr std::size_t kName = 32;
  std::string text =
      fmt::format("{:<{}} {:<12} {:>8} {:>8} {:>6} {:>6} {:>9} {:>9} {:>8} {:>8}\n", "activation", kName, "function",
                  "largest", "range", "margin", "degree", "max err", "rms err", "P(clip)", "P(wrap)");
  for (const ActivationReport& a : activations) {
    text += fmt::format("{:<{}} {:<12} {:>8.4g} {:>8.4g} {:>5.2f}x {:>6} {:>9.1e} {:>9.1e} {:>8.0e} {:>8.0e}\n",
                        shortened(a.name, kName), kName, shortened(a.function, 12), a.largest, a.bound,
                        share(a.bound, a.largest), a.degree, share(a.max_error, a.bound), share(a.rms_error, a.bound),
                        a.clip_probability, a.wrap_probability);
  }
  const ActivationReport& first = activations.front();
  return text + fmt::format(
                    "largest: of the inputs met in calibration. Inputs up to the range are right, those beyond "
                    "saturate (clip)\n"
                    "and those beyond {:.2f} times the range come out wrong (wrap). Errors: of the series alone, as "
                    "shares of the\n"
                    "range. P: rough estimates for one value.\n",
                    share(first.half_period, first.bound));
}

Json to_json(const std::vector<ActivationReport>& activations) {
  Json out = Json::array();
  for (const ActivationReport& a : activations) {
    out.push_back({{"name", a.name},
                   {"function", a.function},
                   {"largest", a.largest},
                   {"rms", a.rms},
                   {"range", a.bound},
                   {"half_period", a.half_period},
                   {"margin", share(a.bound, a.largest)},
                   {"degree", a.degree},
                   {"max_error", a.max_error},
                   {"rms_error", a.rms_error},
                   {"clip_probability", a.clip_probability},
                   {"wrap_probability", a.wrap_probability}});
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> accuracy_rows(const compiler::Compiled& compiled) {
  std::vector<std::pair<std::string, std::string>> rows;
  const BootstrapCount count = count_bootstraps(compiled.server.program);
  if (count.activations > 0) {
    rows.emplace_back("bootstraps", fmt::format("{} for {} ciphertexts of {} activations", count.bootstraps,
                                                count.ciphertexts, count.activations));
  }
  const compiler::Simulation& s = compiled.simulation;
  if (s.inputs > 0) {
    rows.emplace_back(
        "simulated accuracy",
        fmt::format("{} of {} calibration inputs get the label of plaintext; outputs off by {:.1e} rms, "
                    "{:.2g} % of their standard deviation",
                    s.labels_agree, s.inputs, s.output_error, 100 * share(s.output_error, s.output_spread)));
  }
  return rows;
}

Json to_json(const compiler::Simulation& s) {
  return {{"inputs", s.inputs},
          {"labels_agree", s.labels_agree},
          {"output_error", s.output_error},
          {"largest_error", s.largest_error},
          {"output_spread", s.output_spread}};
}

}  // namespace hearth::cli
