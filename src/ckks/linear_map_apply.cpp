// Evaluation of a prepared linear map with double hoisting, limb by limb.
#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/key_switching.h"
#include "ckks/linear_map.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

/// Rotated inputs of one limb are made for so many inputs at a time that they fit this.
constexpr std::size_t kRowBytes = std::size_t{64} << 20;
/// All rotated inputs of one block of coefficients should stay in the second-level cache while the outputs read them.
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kMinBlock = 512;

}  // namespace

/// One call of PreparedLinearMap::apply.
class LinearMapRun {
 public:
  LinearMapRun(const PreparedLinearMap& map, const Evaluator& evaluator, std::span<const Ciphertext> in)
      : map_(map),
        evaluator_(evaluator),
        in_(in),
        layout_(evaluator.parameters(), map.level_, evaluator.parameters().key_set_for(map.level_)),
        limbs_(map.extended_ ? layout_.limbs() : layout_.q_limbs()) {
    find_used_babies();
    check_keys();
  }

  std::vector<Ciphertext> run() {
    allocate_sums();
    for (std::size_t begin = 0; begin < in_.size();) begin = multiply_inputs(begin);
    std::vector<Ciphertext> out(map_.terms_.size());
    parallel_for(0, out.size(), [&](std::size_t o) { out[o] = collect(o); });
    return out;
  }

 private:
  using Term = PreparedLinearMap::Term;
  using Rows = std::vector<const std::uint32_t*>;

  /// Rotated inputs on one limb: rows of n words by slot and half, null where the value is zero.
  struct Rotated {
    std::size_t first_input;
    Rows halves[2];
  };

  std::size_t n() const { return layout_.n(); }
  std::size_t babies() const { return map_.plan_.babies.size(); }

  void find_used_babies() {
    used_.resize(in_.size() * babies());
    slot_.resize(in_.size() * babies());
    for (const auto& giants : map_.terms_) {
      for (const auto& terms : giants) {
        for (const Term& term : terms) used_[static_cast<std::size_t>(term.input) * babies() + term.baby] = true;
      }
    }
  }

  std::uint32_t galois(int step) const { return galois_element(step, evaluator_.parameters().log_n()); }

  /// Looks every key up before work starts, so that a missing one fails at once and with its name.
  void check_keys() const {
    std::set<int> steps;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (used_[i]) steps.insert(map_.plan_.babies[i % babies()]);
    }
    for (const auto& giants : map_.terms_) {
      for (std::size_t g = 0; g < giants.size(); ++g) {
        if (!giants[g].empty()) steps.insert(map_.plan_.giants[g]);
      }
    }
    steps.erase(0);
    for (const int step : steps) layout_.check(evaluator_.keys().rotation(layout_.set(), galois(step)));
  }

  ring::Poly poly(std::size_t limbs) const {
    const ring::Basis& all = layout_.basis();
    return {n(), ring::Basis(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(limbs)), ring::Domain::kNtt};
  }

  void allocate_sums() {
    sums_.resize(map_.terms_.size());
    for (std::size_t o = 0; o < sums_.size(); ++o) {
      sums_[o].resize(map_.terms_[o].size());
      for (std::size_t g = 0; g < sums_[o].size(); ++g) {
        if (!map_.terms_[o][g].empty()) sums_[o][g] = {poly(limbs_), poly(limbs_)};
      }
    }
  }

  /// Adds the products of as many inputs from `begin` on as working memory allows; returns the first one left.
  std::size_t multiply_inputs(std::size_t begin) {
    std::size_t end = begin, rows = 0;
    while (end < in_.size()) {
      const auto first = used_.begin() + static_cast<std::ptrdiff_t>(end * babies());
      const auto count =
          static_cast<std::size_t>(std::count(first, first + static_cast<std::ptrdiff_t>(babies()), true));
      if (end > begin && (rows + count) * 2 * n() * sizeof(std::uint32_t) > kRowBytes) break;
      for (std::size_t b = 0; b < babies(); ++b) {
        if (used_[end * babies() + b]) slot_[end * babies() + b] = rows++;
      }
      ++end;
    }
    std::vector<Hoisted> hoisted(end - begin);
    if (map_.extended_) {
      parallel_for(begin, end, [&](std::size_t i) { hoisted[i - begin] = hoist(i); });
    }
    ring::for_each_limb(limbs_, rows * n(), [&](std::size_t j) { multiply_limb_of(begin, end, rows, hoisted, j); });
    return end;
  }

  Hoisted hoist(std::size_t i) const {
    for (std::size_t b = 0; b < babies(); ++b) {
      if (used_[i * babies() + b] && map_.plan_.babies[b] != 0) return evaluator_.hoist(in_[i].parts[1], map_.level_);
    }
    return {};
  }

  void multiply_limb_of(std::size_t begin, std::size_t end, std::size_t rows, const std::vector<Hoisted>& hoisted,
                        std::size_t j) {
    const std::size_t stride = n() + 64;
    Scratch<std::uint32_t> storage(map_.extended_ ? 2 * rows * stride : 0);
    Rotated rotated{.first_input = begin, .halves = {Rows(rows, nullptr), Rows(rows, nullptr)}};
    ring::for_each_limb((end - begin) * babies(), n(), [&](std::size_t k) {
      const std::size_t i = begin + k / babies(), b = k % babies();
      if (!used_[i * babies() + b]) return;
      const std::size_t slot = slot_[i * babies() + b];
      std::uint32_t* row = storage.data() + 2 * slot * stride;
      rotate_input(i, b, hoisted[i - begin], j, row, row + stride, rotated, slot);
    });
    multiply_terms(begin, end, rows, rotated, j);
  }

  /// Fills (or points at) limb j of baby rotation b of input i.
  void rotate_input(std::size_t i, std::size_t b, const Hoisted& hoisted, std::size_t j, std::uint32_t* row0,
                    std::uint32_t* row1, Rotated& rotated, std::size_t slot) const {
    const int step = map_.plan_.babies[b];
    const bool special = j >= layout_.q_limbs();
    if (step != 0) {
      const std::uint32_t g = galois(step);
      const DigitRows digits(layout_, hoisted);
      const SwitchingKey& key = evaluator_.keys().rotation(layout_.set(), g);
      rotate_limb(layout_, digits, key, g, j, special ? nullptr : in_[i].parts[0].limb(j), row0, row1);
    } else if (!map_.extended_) {
      rotated.halves[0][slot] = in_[i].parts[0].limb(j);
      rotated.halves[1][slot] = in_[i].parts[1].limb(j);
      return;
    } else if (special) {
      return;  // P times the input vanishes here
    } else {
      const ring::Modulus& m = layout_.modulus(j);
      const std::uint32_t p = layout_.special_product(j), companion = ring::shoup(p, m);
      ring::kernels().mul_scalar(row0, in_[i].parts[0].limb(j), p, companion, n(), m);
      ring::kernels().mul_scalar(row1, in_[i].parts[1].limb(j), p, companion, n(), m);
    }
    rotated.halves[0][slot] = row0;
    rotated.halves[1][slot] = row1;
  }

  /// All outputs and giants on limb j, block by block so that the rotated inputs are read from cache.
  void multiply_terms(std::size_t begin, std::size_t end, std::size_t rows, const Rotated& rotated, std::size_t j) {
    const std::size_t fitting = kBlockBytes / (2 * std::max<std::size_t>(rows, 1) * sizeof(std::uint32_t));
    const std::size_t block = std::min(n(), std::max(kMinBlock, std::bit_floor(fitting)));
    const bool first = begin == 0;
    ring::for_each_limb(n() / block, rows * block, [&](std::size_t k) {
      Rows a[2], b;
      for (std::size_t o = 0; o < sums_.size(); ++o) {
        for (std::size_t g = 0; g < sums_[o].size(); ++g) {
          const std::vector<Term>& terms = map_.terms_[o][g];
          if (terms.empty()) continue;
          std::uint32_t* out[2] = {sums_[o][g].c0.limb(j) + k * block, sums_[o][g].c1.limb(j) + k * block};
          sum_terms(terms, begin, end, rotated, j, k * block, block, out, !first, a, b);
        }
      }
    });
  }

  /// out (+)= the terms of inputs [begin, end) on `count` coefficients from `from` on; one dot product for each length
  /// of diagonals. `a` and `b` are working memory.
  void sum_terms(const std::vector<Term>& terms, std::size_t begin, std::size_t end, const Rotated& rotated,
                 std::size_t j, std::size_t from, std::size_t count, std::uint32_t* const* out, bool accumulate,
                 Rows (&a)[2], Rows& b) const {
    const ring::Kernels& k = ring::kernels();
    for (std::size_t t = 0; t < terms.size();) {
      const std::size_t size = terms[t].diagonal.poly.size();
      const int run = std::countr_zero(n()) - std::countr_zero(size);
      a[0].clear(), a[1].clear(), b.clear();
      for (; t < terms.size() && terms[t].diagonal.poly.size() == size; ++t) {
        const auto input = static_cast<std::size_t>(terms[t].input);
        if (input < begin || input >= end) continue;
        const std::size_t slot = slot_[input * babies() + terms[t].baby];
        if (rotated.halves[0][slot] == nullptr) continue;
        a[0].push_back(rotated.halves[0][slot] + from);
        a[1].push_back(rotated.halves[1][slot] + from);
        b.push_back(terms[t].diagonal.poly.limb(j) + (from >> run));
      }
      for (const std::size_t half : {0, 1}) {
        if (b.empty() && accumulate) continue;
        k.dot(out[half], a[half].data(), b.data(), b.size(), run, accumulate, count, layout_.modulus(j));
      }
      accumulate = true;
    }
  }

  /// Output o from its sums: giant rotations, their total, division by P.
  Ciphertext collect(std::size_t o) const {
    Ciphertext out{.parts = {},
                   .level = map_.level_,
                   .scale = in_[0].scale * map_.plain_scale_,
                   .parameters_id = evaluator_.parameters().id()};
    ExtendedPair total;
    const ExtendedPair* unrotated = nullptr;
    for (std::size_t g = 0; g < sums_[o].size(); ++g) {
      if (map_.terms_[o][g].empty()) continue;
      if (map_.plan_.giants[g] == 0) {
        unrotated = &sums_[o][g];
      } else {
        add_giant(sums_[o][g], galois(map_.plan_.giants[g]), total);
      }
    }
    const bool divides = !total.c0.empty() || (unrotated != nullptr && map_.extended_);
    out.parts.push_back(divides ? poly(layout_.q_limbs()) : zero());
    out.parts.push_back(divides ? poly(layout_.q_limbs()) : zero());
    const ring::Ring& ring = evaluator_.parameters().ring();
    if (unrotated != nullptr && map_.extended_ && !total.c0.empty()) {
      ring::add(ring, total.c0, unrotated->c0);
      ring::add(ring, total.c1, unrotated->c1);
    }
    if (divides) mod_down_pair(layout_, total.c0.empty() ? *unrotated : total, out.parts[0], out.parts[1]);
    if (unrotated != nullptr && !map_.extended_) {
      ring::add(ring, out.parts[0], unrotated->c0);
      ring::add(ring, out.parts[1], unrotated->c1);
    }
    return out;
  }

  ring::Poly zero() const {
    return ring::Poly::zero(n(), evaluator_.parameters().q_basis(map_.level_), ring::Domain::kNtt);
  }

  /// total += the rotation by g of `sum`, over QP and times P.
  void add_giant(const ExtendedPair& sum, std::uint32_t g, ExtendedPair& total) const {
    const SwitchingKey& key = evaluator_.keys().rotation(layout_.set(), g);
    const ring::Poly divided = map_.extended_ ? evaluator_.mod_down(sum.c1, map_.level_, layout_.set()) : ring::Poly();
    DigitRows digits(layout_, map_.extended_ ? divided : sum.c1);
    const bool first = total.c0.empty();
    if (first) total = {poly(layout_.limbs()), poly(layout_.limbs())};
    ring::for_each_limb(layout_.limbs(), 4 * n(), [&](std::size_t j) {
      digits.finish(j);
      if (first) return rotate_sum(sum, digits, key, g, j, total.c0.limb(j), total.c1.limb(j));
      Scratch<std::uint32_t> rows(2 * n());
      rotate_sum(sum, digits, key, g, j, rows.data(), rows.data() + n());
      const ring::Modulus& m = layout_.modulus(j);
      ring::kernels().add(total.c0.limb(j), total.c0.limb(j), rows.data(), n(), m);
      ring::kernels().add(total.c1.limb(j), total.c1.limb(j), rows.data() + n(), n(), m);
    });
  }

  /// Limb j of the rotation: (c0 + ks0, ks1) permuted, where c0 carries P already when the map is extended.
  void rotate_sum(const ExtendedPair& sum, const DigitRows& digits, const SwitchingKey& key, std::uint32_t g,
                  std::size_t j, std::uint32_t* out0, std::uint32_t* out1) const {
    if (!map_.extended_) {
      const std::uint32_t* c0 = j < layout_.q_limbs() ? sum.c0.limb(j) : nullptr;
      return rotate_limb(layout_, digits, key, g, j, c0, out0, out1);
    }
    const ring::Kernels& k = ring::kernels();
    Scratch<std::uint32_t> rows(2 * n());
    multiply_limb(layout_, digits, key, j, rows.data(), rows.data() + n());
    k.add(rows.data(), rows.data(), sum.c0.limb(j), n(), layout_.modulus(j));
    k.automorphism(out0, rows.data(), g, layout_.parameters().log_n());
    k.automorphism(out1, rows.data() + n(), g, layout_.parameters().log_n());
  }

  const PreparedLinearMap& map_;
  const Evaluator& evaluator_;
  std::span<const Ciphertext> in_;
  SwitchLayout layout_;
  std::size_t limbs_;                            // of the sums: QP when extended, else Q
  std::vector<bool> used_;                       // [input][baby]
  std::vector<std::size_t> slot_;                // [input][baby] -> row within its group of inputs
  std::vector<std::vector<ExtendedPair>> sums_;  // [output][giant], empty where there are no terms
};

std::vector<Ciphertext> PreparedLinearMap::apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  check_inputs(evaluator, in);
  return LinearMapRun(*this, evaluator, in).run();
}

}  // namespace hearth::ckks
