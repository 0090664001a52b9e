#include "ckks/key_switching.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "ring/limbs.h"
#include "ring/packed.h"

namespace hearth::ckks {
namespace {

/// Distance between rows of scratch beyond their length, so that rows do not fall on the same cache sets.
constexpr std::size_t kRowPadding = 64;

std::size_t pitch(const SwitchLayout& layout) { return layout.n() + kRowPadding; }

/// The division of a pair by P, or by P and the primes of its level, in steps that can be interleaved with what
/// produces the pair: the remainders on the primes divided by first (dropped_row, then convert), after which each limb
/// that is kept can be finished on its own.
class PairModDown {
 public:
  /// Works on the kept primes in the limbs of `into` (whose finish() must then write there), or in scratch without.
  explicit PairModDown(const SwitchLayout& layout, bool rescale = false, std::array<ring::Poly*, 2> into = {})
      : layout_(layout),
        into_(into),
        divider_(rescale ? layout.parameters().mod_down_rescale(layout.level(), layout.set())
                         : layout.parameters().mod_down(layout.level(), layout.set())),
        kept_(divider_.converter().to().size()),
        remainder_(2 * dropped() * pitch(layout)),
        converted_(into[0] != nullptr ? 0 : 2 * kept_ * pitch(layout)) {}

  std::size_t kept() const { return kept_; }
  std::size_t dropped() const { return layout_.limbs() - kept_; }

  /// Row for the NTT values of one half on limb j >= kept().
  std::uint32_t* dropped_row(std::size_t half, std::size_t j) {
    return remainder_.data() + (half * dropped() + j - kept_) * pitch(layout_);
  }

  void to_coefficient(std::size_t j) {
    for (const std::size_t half : {0, 1}) ring::kernels().ntt_inverse(dropped_row(half, j), layout_.ntt(j));
  }

  /// Carries the remainders of both halves to the kept primes.
  void convert() {
    for (const std::size_t half : {0, 1}) {
      std::vector<const std::uint32_t*> in;
      std::vector<std::uint32_t*> out;
      for (std::size_t j = kept_; j < layout_.limbs(); ++j) in.push_back(dropped_row(half, j));
      for (std::size_t j = 0; j < kept_; ++j) out.push_back(converted_row(half, j));
      divider_.converter().convert(out.data(), in.data(), layout_.n());
    }
  }

  /// out = (a - remainder) / divisor on limb j < kept(); out may be a, or the limb of `into`.
  void finish(std::size_t half, std::size_t j, std::uint32_t* out, const std::uint32_t* a) {
    const ring::Kernels& k = ring::kernels();
    std::uint32_t* remainder = converted_row(half, j);
    k.ntt_forward(remainder, layout_.ntt(j));
    k.sub_mul_scalar(out, a, remainder, divider_.inverse()[j], divider_.inverse_shoup()[j], layout_.n(),
                     layout_.modulus(j));
  }

 private:
  std::uint32_t* converted_row(std::size_t half, std::size_t j) {
    if (into_[half] != nullptr) return into_[half]->limb(j);
    return converted_.data() + (half * kept_ + j) * pitch(layout_);
  }

  const SwitchLayout& layout_;
  std::array<ring::Poly*, 2> into_;
  const ring::RoundedDivider& divider_;
  std::size_t kept_;
  Scratch<std::uint32_t> remainder_, converted_;
};

/// Rows of `c` in the coefficient domain.
void to_coefficient_rows(const SwitchLayout& layout, const ring::Poly& c, std::uint32_t* rows) {
  ring::for_each_limb(layout.q_limbs(), layout.n(), [&](std::size_t j) {
    std::uint32_t* row = rows + j * pitch(layout);
    ring::copy_words(row, c.limb(j), layout.n());
    ring::kernels().ntt_inverse(row, layout.ntt(j));
  });
}

}  // namespace

SwitchLayout::SwitchLayout(const Parameters& parameters, int level, int set)
    : parameters_(&parameters),
      level_(level),
      set_(set),
      primes_(parameters.qp_basis(level, set)),
      digits_(parameters.digits(set, level)) {
  const int key_level = parameters.spec().key_sets[static_cast<std::size_t>(set)].max_level;
  require(level <= key_level, ErrorKind::kInvalidArgument,
          "key set {} serves levels 0 to {}, but the ciphertext is at level {}", set, key_level, level);
  q_limbs_ = static_cast<std::size_t>(parameters.q_count(level));
  key_gap_ = static_cast<std::size_t>(parameters.q_count(key_level)) - q_limbs_;
}

std::size_t SwitchLayout::limb_of(int prime) const {
  const auto found = std::find(primes_.begin(), primes_.end(), prime);
  require(found != primes_.end(), ErrorKind::kInternal, "prime {} is not part of level {} of key set {}", prime, level_,
          set_);
  return static_cast<std::size_t>(found - primes_.begin());
}

std::uint32_t SwitchLayout::special_product(std::size_t j) const {
  const ring::Modulus& m = modulus(j);
  std::uint32_t product = 1;
  for (std::size_t i = q_limbs_; i < limbs(); ++i) product = ring::mul_mod(product, modulus(i).q % m.q, m);
  return product;
}

void SwitchLayout::check(const SwitchingKey& key) const {
  require(key.set == set_, ErrorKind::kMismatch, "a switching key of key set {} cannot be used at level {}: set {} is",
          key.set, level_, set_);
  const std::size_t needed = limbs() + key_gap_;
  require(key.digits() >= digits_.size(), ErrorKind::kMismatch,
          "the switching key has {} digits, level {} of key set {} needs {}", key.digits(), level_, set_,
          digits_.size());
  if (key.rows) {
    require(key.rows->limbs() == needed, ErrorKind::kMismatch, "the switching key has {} limbs, expected {}",
            key.rows->limbs(), needed);
    return;
  }
  require(key.a.empty() || key.a.size() == key.b.size(), ErrorKind::kMismatch,
          "the switching key has {} digits but {} in its random half", key.b.size(), key.a.size());
  for (std::size_t d = 0; d < digits_.size(); ++d) {
    const bool fits = key.b[d].limbs() == needed && key.b[d].size() == n() &&
                      (key.a.empty() || (key.a[d].limbs() == needed && key.a[d].size() == n()));
    require(fits, ErrorKind::kMismatch, "digit {} of the switching key has {} limbs of {} words, expected {} of {}", d,
            key.b[d].limbs(), key.b[d].size(), needed, n());
  }
}

DigitRows::DigitRows(const SwitchLayout& layout, const ring::Poly& c, std::vector<ring::Poly>* into)
    : layout_(layout), digits_(layout.digits().size()) {
  begin(c);
  const std::size_t stored = into != nullptr ? 0 : layout.limbs() * digits_ - layout.q_limbs();
  storage_.emplace(stored * pitch(layout));
  for (std::size_t d = 0; into != nullptr && d < digits_; ++d) {
    for (const int prime : layout.digits()[d]) {
      const std::size_t j = layout.limb_of(prime);
      ring::copy_words((*into)[d].limb(j), c.limb(j), layout.n());
      rows_[j * digits_ + d] = (*into)[d].limb(j);
    }
  }
  std::uint32_t* free_row = storage_->data();
  raise_into(0, layout.limbs(), [&](std::size_t d, std::size_t j) {
    return into != nullptr ? (*into)[d].limb(j) : std::exchange(free_row, free_row + pitch(layout));
  });
  coefficients_.reset();
}

DigitRows::DigitRows(const SwitchLayout& layout, const ring::Poly& c, std::size_t limbs_at_a_time)
    : layout_(layout), digits_(layout.digits().size()) {
  begin(c);
  storage_.emplace(limbs_at_a_time * digits_ * pitch(layout));
}

void DigitRows::begin(const ring::Poly& c) {
  require(c.domain() == ring::Domain::kNtt && c.limbs() == layout_.q_limbs() && c.size() == layout_.n(),
          ErrorKind::kInternal, "key switching at level {} needs {} limbs in the NTT domain, got {}", layout_.level(),
          layout_.q_limbs(), c.limbs());
  rows_.assign(layout_.limbs() * digits_, nullptr);
  raw_.assign(layout_.limbs() * digits_, nullptr);
  for (std::size_t d = 0; d < digits_; ++d) {
    for (const int prime : layout_.digits()[d]) {
      const std::size_t j = layout_.limb_of(prime);
      rows_[j * digits_ + d] = c.limb(j);
    }
  }
  coefficients_.emplace(layout_.q_limbs() * pitch(layout_));
  to_coefficient_rows(layout_, c, coefficients_->data());
}

void DigitRows::raise(std::size_t first, std::size_t last) {
  require(coefficients_ && (last - first) * digits_ * pitch(layout_) <= storage_->size(), ErrorKind::kInternal,
          "digits have no room for limbs {} to {}", first, last);
  raise_into(first, last, [&](std::size_t d, std::size_t j) {
    return storage_->data() + ((j - first) * digits_ + d) * pitch(layout_);
  });
}

template <typename Place>
void DigitRows::raise_into(std::size_t first, std::size_t last, const Place& place) {
  for (std::size_t d = 0; d < digits_; ++d) {
    const ring::BaseConverter& converter =
        layout_.parameters().mod_up(layout_.level(), layout_.set(), static_cast<int>(d));
    std::vector<const std::uint32_t*> in;
    for (const int prime : converter.from())
      in.push_back(coefficients_->data() + layout_.limb_of(prime) * pitch(layout_));
    std::vector<std::uint32_t*> out;
    std::size_t from = 0;  // among the converter's primes, which lie in the order of limbs
    for (std::size_t t = 0; t < converter.to().size(); ++t) {
      const std::size_t j = layout_.limb_of(converter.to()[t]);
      if (j < first) from = t + 1;
      if (j < first || j >= last) continue;
      out.push_back(place(d, j));
      rows_[j * digits_ + d] = raw_[j * digits_ + d] = out.back();
    }
    converter.convert(out.data(), in.data(), layout_.n(), from, out.size());
  }
}

DigitRows::DigitRows(const SwitchLayout& layout, const Hoisted& hoisted)
    : layout_(layout), digits_(layout.digits().size()) {
  require(hoisted.level == layout.level() && hoisted.set == layout.set() && hoisted.digits.size() == digits_,
          ErrorKind::kInvalidArgument, "the hoisted digits are of level {} and key set {}, expected {} and {}",
          hoisted.level, hoisted.set, layout.level(), layout.set());
  rows_.resize(layout.limbs() * digits_);
  raw_.assign(layout.limbs() * digits_, nullptr);
  for (std::size_t d = 0; d < digits_; ++d) {
    for (std::size_t j = 0; j < layout.limbs(); ++j) rows_[j * digits_ + d] = hoisted.digits[d].limb(j);
  }
}

void DigitRows::finish(std::size_t j) {
  for (std::size_t d = 0; d < digits_; ++d) {
    std::uint32_t*& row = raw_[j * digits_ + d];
    if (row != nullptr) ring::kernels().ntt_forward(row, layout_.ntt(j));
    row = nullptr;
  }
}

void multiply_limb(const SwitchLayout& layout, const DigitRows& digits, const SwitchingKey& key, std::size_t j,
                   std::uint32_t* out0, std::uint32_t* out1, bool accumulate0, bool accumulate1) {
  const ring::Kernels& k = ring::kernels();
  const std::size_t limb = layout.key_limb(j);
  const std::size_t count = digits.digits();
  const bool expands = key.a.empty();
  Scratch<std::uint32_t> expanded(expands ? count * pitch(layout) : 0);
  std::vector<const std::uint32_t*> a(count), b(count);
  for (std::size_t d = 0; d < count; ++d) {
    std::uint32_t* row = expanded.data() + d * pitch(layout);
    if (expands) key.fill_a(layout.parameters(), d, layout.prime(j), row);
    a[d] = expands ? row : key.a[d].limb(limb);
  }
  if (key.rows) {
    // Now, so that what comes from a tier, and is verified here, is still in the cache when it is used.
    const HeldRows rows(*key.rows, limb, count);
    for (std::size_t d = 0; d < count; ++d) b[d] = rows[d];
    for (std::size_t d = 0; d < count; d += ring::kMostPacked) {
      k.dot_packed(out0, digits.row(j) + d, b.data() + d, std::min(count - d, ring::kMostPacked), accumulate0 || d > 0,
                   layout.n(), layout.modulus(j));
    }
  } else {
    for (std::size_t d = 0; d < count; ++d) b[d] = key.b[d].limb(limb);
    k.dot(out0, digits.row(j), b.data(), count, 0, accumulate0, layout.n(), layout.modulus(j));
  }
  k.dot(out1, digits.row(j), a.data(), count, 0, accumulate1, layout.n(), layout.modulus(j));
}

void rotate_limb(const SwitchLayout& layout, const DigitRows& digits, const SwitchingKey& key, std::uint32_t g,
                 std::size_t j, const std::uint32_t* c0, std::uint32_t* out0, std::uint32_t* out1) {
  const ring::Kernels& k = ring::kernels();
  const ring::Modulus& m = layout.modulus(j);
  Scratch<std::uint32_t> rows(2 * pitch(layout));
  std::uint32_t* ks0 = rows.data();
  std::uint32_t* ks1 = rows.data() + pitch(layout);
  if (c0 != nullptr) {
    const std::uint32_t p = layout.special_product(j);
    k.mul_scalar(ks0, c0, p, ring::shoup(p, m), layout.n(), m);
  }
  multiply_limb(layout, digits, key, j, ks0, ks1, c0 != nullptr);
  k.automorphism(out0, ks0, g, layout.parameters().log_n());
  k.automorphism(out1, ks1, g, layout.parameters().log_n());
}

void switch_key(const SwitchLayout& layout, DigitRows& digits, const SwitchingKey& key, const LimbSink& sink,
                std::array<ring::Poly*, 2> workspace) {
  layout.check(key);
  PairModDown down(layout, false, workspace);
  const std::size_t work = 4 * layout.n();
  ring::for_each_limb_in_order(down.dropped(), work, [&](std::size_t i) {
    const std::size_t j = down.kept() + i;
    digits.finish(j);
    multiply_limb(layout, digits, key, j, down.dropped_row(0, j), down.dropped_row(1, j));
    down.to_coefficient(j);
  });
  down.convert();
  ring::for_each_limb_in_order(down.kept(), work, [&](std::size_t j) {
    Scratch<std::uint32_t> rows(2 * pitch(layout));
    std::uint32_t* ks0 = rows.data();
    std::uint32_t* ks1 = rows.data() + pitch(layout);
    digits.finish(j);
    multiply_limb(layout, digits, key, j, ks0, ks1);
    down.finish(0, j, ks0, ks0);
    down.finish(1, j, ks1, ks1);
    sink(j, ks0, ks1);
  });
}

void relinearize_rescale(const SwitchLayout& layout, DigitRows& digits, const SwitchingKey& key, const ring::Poly& d0,
                         const ring::Poly& d1, ring::Poly& out0, ring::Poly& out1) {
  layout.check(key);
  PairModDown down(layout, true, {&out0, &out1});
  const std::size_t work = 4 * layout.n();
  /// P d + key switch of limb j, one row a half.
  const auto product = [&](std::size_t j, std::uint32_t* row0, std::uint32_t* row1) {
    digits.finish(j);
    const bool special = j >= layout.q_limbs();
    if (!special) {
      const ring::Modulus& m = layout.modulus(j);
      const std::uint32_t p = layout.special_product(j), companion = ring::shoup(p, m);
      ring::kernels().mul_scalar(row0, d0.limb(j), p, companion, layout.n(), m);
      ring::kernels().mul_scalar(row1, d1.limb(j), p, companion, layout.n(), m);
    }
    multiply_limb(layout, digits, key, j, row0, row1, !special, !special);
  };
  ring::for_each_limb_in_order(down.dropped(), work, [&](std::size_t i) {
    const std::size_t j = down.kept() + i;
    product(j, down.dropped_row(0, j), down.dropped_row(1, j));
    down.to_coefficient(j);
  });
  down.convert();
  ring::for_each_limb_in_order(down.kept(), work, [&](std::size_t j) {
    Scratch<std::uint32_t> rows(2 * pitch(layout));
    product(j, rows.data(), rows.data() + pitch(layout));
    down.finish(0, j, out0.limb(j), rows.data());
    down.finish(1, j, out1.limb(j), rows.data() + pitch(layout));
  });
}

void mod_down_pair(const SwitchLayout& layout, const ExtendedPair& pair, ring::Poly& out0, ring::Poly& out1) {
  PairModDown down(layout, false, {&out0, &out1});
  ring::for_each_limb(down.dropped(), 2 * layout.n(), [&](std::size_t i) {
    const std::size_t j = down.kept() + i;
    ring::copy_words(down.dropped_row(0, j), pair.c0.limb(j), layout.n());
    ring::copy_words(down.dropped_row(1, j), pair.c1.limb(j), layout.n());
    down.to_coefficient(j);
  });
  down.convert();
  ring::for_each_limb(down.kept(), 2 * layout.n(), [&](std::size_t j) {
    down.finish(0, j, out0.limb(j), pair.c0.limb(j));
    down.finish(1, j, out1.limb(j), pair.c1.limb(j));
  });
}

}  // namespace hearth::ckks
