#include "ckks/bootstrap/noise_tape.h"

namespace hearth::ckks {

int NoiseTape::record(Complex value, Step step) {
  values_.push_back(value);
  steps_.push_back(step);
  return static_cast<int>(values_.size()) - 1;
}

int NoiseTape::input(Complex v) { return record(v, {}); }

int NoiseTape::combine(int a, Complex p, int b, Complex q, Complex c) {
  return record(p * value(a) + q * value(b) + c, {a, b, p, q});
}

int NoiseTape::multiply(int a, int b) { return record(value(a) * value(b), {a, b, value(b), value(a)}); }

int NoiseTape::source(int a) {
  sources_.push_back(record(value(a), {a, -1, 1, 0}));
  return sources_.back();
}

std::vector<NoiseTape::Complex> NoiseTape::sensitivities(int result) const {
  std::vector<Complex> out(values_.size());
  out[static_cast<std::size_t>(result)] = 1;
  for (std::size_t i = static_cast<std::size_t>(result) + 1; i-- > 0;) {
    const Step& step = steps_[i];
    if (step.a >= 0) out[static_cast<std::size_t>(step.a)] += out[i] * step.da;
    if (step.b >= 0) out[static_cast<std::size_t>(step.b)] += out[i] * step.db;
  }
  return out;
}

double NoiseTape::source_gain(std::span<const Complex> sensitivities) const {
  double sum = 0;
  for (const int i : sources_) sum += std::norm(sensitivities[static_cast<std::size_t>(i)]);
  return sum;
}

}  // namespace hearth::ckks
