// The operations of Evaluator that switch keys.
#include "base/error.h"
#include "ckks/evaluator.h"
#include "ckks/key_switching.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

void check_own(const Parameters& parameters, const Ciphertext& a, const char* operation) {
  require(a.parameters_id == parameters.id(), ErrorKind::kMismatch,
          "{}: the ciphertext belongs to other parameters ({:016x}, expected {:016x})", operation, a.parameters_id,
          parameters.id());
}

void check_rotatable(const Parameters& parameters, const Ciphertext& a) {
  check_own(parameters, a, "rotate");
  require(a.parts.size() == 2, ErrorKind::kInvalidArgument,
          "rotate: expected a ciphertext of 2 parts, got {}; relinearize products first", a.parts.size());
}

Ciphertext empty_like(const Ciphertext& a) {
  Ciphertext out{.parts = {}, .level = a.level, .scale = a.scale, .parameters_id = a.parameters_id};
  for (int i = 0; i < 2; ++i) out.parts.emplace_back(a.parts[0].size(), a.parts[0].basis(), ring::Domain::kNtt);
  return out;
}

/// The ciphertext c with c1 replaced by its key-switched digits, permuted by X -> X^g.
Ciphertext apply_galois(const SwitchLayout& layout, const Ciphertext& c, DigitRows& digits, const SwitchingKey& key,
                        std::uint32_t g) {
  Ciphertext out = empty_like(c);
  const ring::Kernels& k = ring::kernels();
  const auto permute = [&](std::size_t j, std::uint32_t* ks0, std::uint32_t* ks1) {
    k.add(ks0, ks0, c.parts[0].limb(j), layout.n(), layout.modulus(j));
    k.automorphism(out.parts[0].limb(j), ks0, g, layout.parameters().log_n());
    k.automorphism(out.parts[1].limb(j), ks1, g, layout.parameters().log_n());
  };
  switch_key(layout, digits, key, permute, {&out.parts[0], &out.parts[1]});
  return out;
}

}  // namespace

void Evaluator::relinearize_inplace(Ciphertext& a) const {
  checkpoint();
  check_own(*parameters_, a, "relinearize");
  if (a.parts.size() == 2) return;
  require(a.parts.size() == 3, ErrorKind::kInvalidArgument, "relinearize: expected 3 parts, got {}", a.parts.size());
  const SwitchLayout layout(*parameters_, a.level, parameters_->key_set_for(a.level));
  const SwitchingKey& key = keys().relin(layout.set());
  DigitRows digits(layout, a.parts[2]);
  switch_key(layout, digits, key, [&](std::size_t j, std::uint32_t* ks0, std::uint32_t* ks1) {
    const ring::Kernels& k = ring::kernels();
    k.add(a.parts[0].limb(j), a.parts[0].limb(j), ks0, layout.n(), layout.modulus(j));
    k.add(a.parts[1].limb(j), a.parts[1].limb(j), ks1, layout.n(), layout.modulus(j));
  });
  a.parts.pop_back();
}

void Evaluator::relinearize_rescale_inplace(Ciphertext& a) const {
  checkpoint();
  if (a.parts.size() < 3) return rescale_inplace(a);
  check_own(*parameters_, a, "relinearize");
  require(a.level > 0, ErrorKind::kInvalidArgument, "rescale: the ciphertext is at level 0, there is no prime to drop");
  const SwitchLayout layout(*parameters_, a.level, parameters_->key_set_for(a.level));
  DigitRows digits(layout, a.parts[2]);
  const ring::Basis basis = parameters_->q_basis(a.level - 1);
  ring::Poly out0(layout.n(), basis, ring::Domain::kNtt), out1(layout.n(), basis, ring::Domain::kNtt);
  relinearize_rescale(layout, digits, keys().relin(layout.set()), a.parts[0], a.parts[1], out0, out1);
  a.parts.clear();
  a.parts.push_back(std::move(out0));
  a.parts.push_back(std::move(out1));
  a.scale /= parameters_->level_modulus(a.level);
  --a.level;
}

Ciphertext Evaluator::rotate(const Ciphertext& a, int steps) const {
  checkpoint();
  check_rotatable(*parameters_, a);
  const std::uint32_t g = galois_element(steps, parameters_->log_n());
  if (g == 1) return a.clone();
  const SwitchLayout layout(*parameters_, a.level, parameters_->key_set_for(a.level));
  const SwitchingKey& key = keys().rotation(layout.set(), g);
  DigitRows digits(layout, a.parts[1]);
  return apply_galois(layout, a, digits, key, g);
}

Ciphertext Evaluator::conjugate(const Ciphertext& a) const {
  checkpoint();
  check_rotatable(*parameters_, a);
  const std::uint32_t g = galois_conjugation(parameters_->log_n());
  const SwitchLayout layout(*parameters_, a.level, parameters_->key_set_for(a.level));
  const SwitchingKey& key = keys().rotation(layout.set(), g);
  DigitRows digits(layout, a.parts[1]);
  return apply_galois(layout, a, digits, key, g);
}

std::vector<Ciphertext> Evaluator::rotate_hoisted(const Ciphertext& a, std::span<const int> steps) const {
  check_rotatable(*parameters_, a);
  std::vector<Ciphertext> out;
  if (steps.empty()) return out;
  const Hoisted hoisted = hoist(a.parts[1], a.level);
  for (const int step : steps) out.push_back(rotate(a, hoisted, step));
  return out;
}

Ciphertext Evaluator::rotate(const Ciphertext& a, const Hoisted& hoisted, int steps) const {
  checkpoint();
  check_rotatable(*parameters_, a);
  const std::uint32_t g = galois_element(steps, parameters_->log_n());
  if (g == 1) return a.clone();
  const SwitchLayout layout(*parameters_, a.level, hoisted.set);
  DigitRows digits(layout, hoisted);
  return apply_galois(layout, a, digits, keys().rotation(layout.set(), g), g);
}

Hoisted Evaluator::hoist(const ring::Poly& c1, int level) const {
  checkpoint();
  const SwitchLayout layout(*parameters_, level, parameters_->key_set_for(level));
  Hoisted out{.digits = {}, .level = level, .set = layout.set()};
  for (std::size_t d = 0; d < layout.digits().size(); ++d) {
    out.digits.emplace_back(layout.n(), layout.basis(), ring::Domain::kNtt);
  }
  DigitRows rows(layout, c1, &out.digits);
  ring::for_each_limb(layout.limbs(), layout.n(), [&](std::size_t j) { rows.finish(j); });
  return out;
}

ExtendedPair Evaluator::multiply_by_key(const Hoisted& hoisted, const SwitchingKey& key) const {
  const SwitchLayout layout(*parameters_, hoisted.level, hoisted.set);
  layout.check(key);
  const DigitRows digits(layout, hoisted);
  ExtendedPair out{ring::Poly(layout.n(), layout.basis(), ring::Domain::kNtt),
                   ring::Poly(layout.n(), layout.basis(), ring::Domain::kNtt)};
  ring::for_each_limb_in_order(layout.limbs(), 2 * layout.n(), [&](std::size_t j) {
    multiply_limb(layout, digits, key, j, out.c0.limb(j), out.c1.limb(j));
  });
  return out;
}

ExtendedPair Evaluator::rotate_extended(const Ciphertext& a, const Hoisted& hoisted, std::uint32_t g) const {
  check_rotatable(*parameters_, a);
  const SwitchLayout layout(*parameters_, a.level, hoisted.set);
  const DigitRows digits(layout, hoisted);
  const SwitchingKey& key = keys().rotation(layout.set(), g);
  layout.check(key);
  ExtendedPair out{ring::Poly(layout.n(), layout.basis(), ring::Domain::kNtt),
                   ring::Poly(layout.n(), layout.basis(), ring::Domain::kNtt)};
  ring::for_each_limb_in_order(layout.limbs(), 4 * layout.n(), [&](std::size_t j) {
    const std::uint32_t* c0 = j < layout.q_limbs() ? a.parts[0].limb(j) : nullptr;
    rotate_limb(layout, digits, key, g, j, c0, out.c0.limb(j), out.c1.limb(j));
  });
  return out;
}

ring::Poly Evaluator::mod_down(const ring::Poly& a, int level, int set) const {
  return parameters_->mod_down(level, set).divide(a);
}

}  // namespace hearth::ckks
