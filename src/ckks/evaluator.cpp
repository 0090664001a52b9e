#include "ckks/evaluator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/dry_run.h"
#include "base/error.h"
#include "base/scratch.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

constexpr double kScaleTolerance = 0x1p-20;

void check_scales(double a, double b, const char* operation) {
  require(std::abs(a - b) <= kScaleTolerance * std::abs(a), ErrorKind::kInvalidArgument,
          "{}: the operands have scales 2^{:.9f} and 2^{:.9f}; bring them to one scale first", operation, std::log2(a),
          std::log2(b));
}

void check_own(const Parameters& parameters, const Ciphertext& a, const char* operation) {
  require(a.parameters_id == parameters.id(), ErrorKind::kMismatch,
          "{}: the ciphertext belongs to other parameters ({:016x}, expected {:016x})", operation, a.parameters_id,
          parameters.id());
  require(a.parts.size() >= 2, ErrorKind::kInvalidArgument, "{}: expected a ciphertext of 2 or 3 parts, got {}",
          operation, a.parts.size());
}

void check_pair(const Parameters& parameters, const Ciphertext& a, const Ciphertext& b, const char* operation) {
  check_own(parameters, a, operation);
  check_own(parameters, b, operation);
  require(a.level == b.level, ErrorKind::kInvalidArgument,
          "{}: the operands are at levels {} and {}; drop the higher one first", operation, a.level, b.level);
}

void check_two_parts(const Ciphertext& a, const char* operation) {
  require(a.parts.size() == 2, ErrorKind::kInvalidArgument,
          "{}: expected a ciphertext of 2 parts, got {}; relinearize products first", operation, a.parts.size());
}

/// The limbs of `p` must begin with those of the ciphertext.
void check_plain(const Ciphertext& a, const Plaintext& p, const char* operation) {
  const ring::Basis& have = p.poly.basis();
  const ring::Basis& need = a.parts[0].basis();
  const bool covers = have.size() >= need.size() && std::equal(need.begin(), need.end(), have.begin());
  require(covers, ErrorKind::kInvalidArgument,
          "{}: the plaintext's {} limbs do not begin with the {} of the ciphertext at level {}; encode it on "
          "q_basis(level)",
          operation, have.size(), need.size(), a.level);
  require(p.poly.domain() == ring::Domain::kNtt && p.poly.size() >= 2 && p.poly.size() <= a.parts[0].size(),
          ErrorKind::kInvalidArgument,
          "{}: the plaintext has {} values a limb for a ring of {}, or is not in NTT domain", operation, p.poly.size(),
          a.parts[0].size());
}

int log_run(const Ciphertext& a, const Plaintext& p) {
  return std::countr_zero(a.parts[0].size()) - std::countr_zero(p.poly.size());
}

/// Limb i of p in Montgomery form; `scratch` holds it when it must be converted.
const std::uint32_t* montgomery_limb(const Plaintext& p, std::size_t i, const ring::Modulus& m,
                                     std::uint32_t* scratch) {
  if (p.montgomery) return p.poly.limb(i);
  ring::kernels().mul_scalar(scratch, p.poly.limb(i), m.r1, ring::shoup(m.r1, m), p.poly.size(), m);
  return scratch;
}

/// Limb i of p in plain form, every value repeated over its run, in `out` (n words).
void expand_limb(const Plaintext& p, std::size_t i, const ring::Modulus& m, int run_log, std::uint32_t* out) {
  if (dry_run()) return;
  const std::size_t run = std::size_t{1} << run_log;
  for (std::size_t k = 0; k < p.poly.size(); ++k) {
    const std::uint32_t value = p.poly.limb(i)[k];
    std::fill_n(out + k * run, run, p.montgomery ? ring::montgomery_reduce(value, m) : value);
  }
}

}  // namespace

Evaluator::Evaluator(ParametersPtr parameters, const EvaluationKeys* keys)
    : parameters_(std::move(parameters)), keys_(keys), encoder_(parameters_) {
  if (keys_ == nullptr) return;
  require(keys_->parameters_id == parameters_->id(), ErrorKind::kMismatch,
          "the evaluation keys belong to other parameters ({:016x}, expected {:016x})", keys_->parameters_id,
          parameters_->id());
}

const EvaluationKeys& Evaluator::keys() const {
  require(keys_ != nullptr, ErrorKind::kMismatch,
          "this operation needs evaluation keys, but the evaluator was made without any");
  return *keys_;
}

void Evaluator::add_inplace(Ciphertext& a, const Ciphertext& b) const {
  check_pair(*parameters_, a, b, "add");
  check_scales(a.scale, b.scale, "add");
  const std::size_t shared = std::min(a.parts.size(), b.parts.size());
  for (std::size_t i = 0; i < shared; ++i) ring::add(parameters_->ring(), a.parts[i], b.parts[i]);
  for (std::size_t i = shared; i < b.parts.size(); ++i) a.parts.push_back(b.parts[i].clone());
}

void Evaluator::sub_inplace(Ciphertext& a, const Ciphertext& b) const {
  check_pair(*parameters_, a, b, "sub");
  check_scales(a.scale, b.scale, "sub");
  const std::size_t shared = std::min(a.parts.size(), b.parts.size());
  for (std::size_t i = 0; i < shared; ++i) ring::sub(parameters_->ring(), a.parts[i], b.parts[i]);
  for (std::size_t i = shared; i < b.parts.size(); ++i) {
    a.parts.push_back(b.parts[i].clone());
    ring::negate(parameters_->ring(), a.parts.back());
  }
}

void Evaluator::negate_inplace(Ciphertext& a) const {
  check_own(*parameters_, a, "negate");
  for (ring::Poly& part : a.parts) ring::negate(parameters_->ring(), part);
}

void Evaluator::add_plain_inplace(Ciphertext& a, const Plaintext& p) const {
  check_own(*parameters_, a, "add_plain");
  check_plain(a, p, "add_plain");
  check_scales(a.scale, p.scale, "add_plain");
  ring::Poly& c0 = a.parts[0];
  const int run = log_run(a, p);
  ring::for_each_limb(c0.limbs(), c0.size(), [&](std::size_t i) {
    const ring::Modulus& m = parameters_->ring().modulus(c0.basis()[i]);
    if (run == 0 && !p.montgomery) return ring::kernels().add(c0.limb(i), c0.limb(i), p.poly.limb(i), c0.size(), m);
    Scratch<std::uint32_t> dense(c0.size());
    expand_limb(p, i, m, run, dense.data());
    ring::kernels().add(c0.limb(i), c0.limb(i), dense.data(), c0.size(), m);
  });
}

void Evaluator::add_constant_inplace(Ciphertext& a, double value) const {
  check_own(*parameters_, a, "add_constant");
  add_plain_inplace(a, encoder_.encode(value, a.scale, a.parts[0].basis(), false));
}

void Evaluator::mul_plain_inplace(Ciphertext& a, const Plaintext& p) const {
  check_own(*parameters_, a, "mul_plain");
  check_plain(a, p, "mul_plain");
  const std::size_t n = a.parts[0].size();
  const int run = log_run(a, p);
  ring::for_each_limb(a.parts[0].limbs(), a.parts.size() * n, [&](std::size_t i) {
    const ring::Modulus& m = parameters_->ring().modulus(a.parts[0].basis()[i]);
    Scratch<std::uint32_t> converted(p.montgomery ? 0 : p.poly.size());
    const std::uint32_t* b = montgomery_limb(p, i, m, converted.data());
    for (ring::Poly& part : a.parts) {
      const std::uint32_t* row = part.limb(i);
      ring::kernels().dot(part.limb(i), &row, &b, 1, run, false, n, m);
    }
  });
  a.scale *= p.scale;
}

void Evaluator::mul_constant_inplace(Ciphertext& a, double value, double scale) const {
  check_own(*parameters_, a, "mul_constant");
  mul_plain_inplace(a, encoder_.encode(value, scale, a.parts[0].basis(), true));
}

// X^(n/2) takes the values I = psi^(n/2) on NTT entries with even bit reversal, which are the first half, and I^3 = -I
// on the others.
void Evaluator::mul_by_i_inplace(Ciphertext& a) const {
  check_own(*parameters_, a, "mul_by_i");
  const std::size_t half = a.parts[0].size() / 2;
  ring::for_each_limb(a.parts[0].limbs(), a.parts.size() * 2 * half, [&](std::size_t i) {
    const int prime = a.parts[0].basis()[i];
    const ring::Modulus& m = parameters_->ring().modulus(prime);
    const std::uint32_t root = parameters_->ring().ntt(prime).root(1).value;
    const std::uint32_t minus = m.q - root;
    for (ring::Poly& part : a.parts) {
      std::uint32_t* row = part.limb(i);
      ring::kernels().mul_scalar(row, row, root, ring::shoup(root, m), half, m);
      ring::kernels().mul_scalar(row + half, row + half, minus, ring::shoup(minus, m), half, m);
    }
  });
}

Ciphertext Evaluator::multiply(const Ciphertext& a, const Ciphertext& b) const {
  check_pair(*parameters_, a, b, "multiply");
  check_two_parts(a, "multiply");
  check_two_parts(b, "multiply");
  const std::size_t n = parameters_->n();
  Ciphertext out{.parts = {}, .level = a.level, .scale = a.scale * b.scale, .parameters_id = a.parameters_id};
  for (int i = 0; i < 3; ++i) out.parts.emplace_back(n, a.parts[0].basis(), ring::Domain::kNtt);
  ring::for_each_limb(a.parts[0].limbs(), 4 * n, [&](std::size_t i) {
    const ring::Kernels& k = ring::kernels();
    const ring::Modulus& m = parameters_->ring().modulus(a.parts[0].basis()[i]);
    Scratch<std::uint32_t> montgomery(2 * n);
    const std::uint32_t* left[] = {a.parts[0].limb(i), a.parts[1].limb(i)};
    const std::uint32_t* right[] = {montgomery.data() + n, montgomery.data()};  // b1, b0
    for (const std::size_t part : {0, 1}) {
      k.mul_scalar(montgomery.data() + part * n, b.parts[part].limb(i), m.r1, ring::shoup(m.r1, m), n, m);
    }
    k.dot(out.parts[0].limb(i), left, right + 1, 1, 0, false, n, m);
    k.dot(out.parts[1].limb(i), left, right, 2, 0, false, n, m);
    k.dot(out.parts[2].limb(i), left + 1, right, 1, 0, false, n, m);
  });
  return out;
}

Ciphertext Evaluator::square(const Ciphertext& a) const { return multiply(a, a); }

void Evaluator::rescale_inplace(Ciphertext& a) const {
  check_own(*parameters_, a, "rescale");
  require(a.level > 0, ErrorKind::kInvalidArgument, "rescale: the ciphertext is at level 0, there is no prime to drop");
  const ring::RoundedDivider& divider = parameters_->rescaler(a.level);
  for (ring::Poly& part : a.parts) part = divider.divide(part);
  a.scale /= parameters_->level_modulus(a.level);
  --a.level;
}

void Evaluator::drop_to_level_inplace(Ciphertext& a, int level) const {
  check_own(*parameters_, a, "drop_to_level");
  require(level >= 0 && level <= a.level, ErrorKind::kInvalidArgument,
          "drop_to_level: cannot go from level {} to level {}", a.level, level);
  for (ring::Poly& part : a.parts) part.truncate(static_cast<std::size_t>(parameters_->q_count(level)));
  a.level = level;
}

}  // namespace hearth::ckks
