#include "ckks/linear_map_streamed.h"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "base/dry_run.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "ckks/linear_map_run.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

/// One limb of the sums of a wave of steps should stay in the second-level cache together with that of a few rotated
/// inputs, so that neither the sums are read for every product nor the rotated inputs for every step.
constexpr std::size_t kCacheBytes = std::size_t{3} << 19;
constexpr std::size_t kTile = 4;  ///< rotated inputs that are multiplied together
constexpr std::size_t kMinWave = 2, kMaxWave = 16;

using Step = PlannedMap::Step;
using Term = PlannedMap::Term;

/// One call of StreamedLinearMap::apply. Where all rotated inputs fit the memory they are made once, and every step's
/// sum is rotated as soon as it is complete. Else groups of steps keep their sums while groups of rotations pass by.
class StreamedRun {
 public:
  StreamedRun(const MapRun& run, const LinearMapSource& source, std::size_t memory)
      : run_(run), source_(source), memory_(memory - std::min(memory, run.hoisted_bytes())) {}

  std::vector<Ciphertext> apply() {
    out_.resize(static_cast<std::size_t>(run_.map().shape.outputs));
    const std::size_t pair = run_.pair_bytes(), all = run_.rotations(0, steps().size()).size();
    const bool fits = (stored_ ? all + wave() : wave()) * pair <= memory_ / 4 * 3;
    const std::size_t half = std::max<std::size_t>(1, memory_ / 8 * 3 / pair);
    const std::size_t group = fits ? std::max<std::size_t>(1, all) : half, chunk = fits ? steps().size() : half;
    for (std::size_t begin = 0; begin < steps().size(); begin += chunk) {
      run_steps(begin, std::min(begin + chunk, steps().size()), group);
    }
    for (Ciphertext& out : out_) {
      if (out.parts.empty()) out = total_.finish(run_);
    }
    return std::move(out_);
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  const std::vector<Step>& steps() const { return run_.map().steps; }
  std::size_t n() const { return run_.n(); }
  std::size_t pitch() const { return n() + 64; }

  /// Steps [begin, end) with `group` rotated inputs at a time.
  void run_steps(std::size_t begin, std::size_t end, std::size_t group) {
    const std::vector<InputRotation> all = run_.rotations(begin, end);
    std::vector<ExtendedPair> sums(end - begin);
    for (std::size_t from = 0; from < all.size(); from += group) {
      const std::span rotations = std::span(all).subspan(from, std::min(group, all.size() - from));
      rotate(rotations);
      for (std::size_t first = begin; first < end; first += wave()) {
        const std::size_t count = std::min(wave(), end - first);
        multiply_steps(std::span(steps()).subspan(first, count), std::span(sums).subspan(first - begin, count));
        if (from + group < all.size()) continue;
        for (std::size_t s = first; s < first + count; ++s) collect(s, sums[s - begin]);
      }
    }
  }

  /// How many steps are worked on together.
  std::size_t wave() const {
    const std::size_t rows = kCacheBytes / (n() * sizeof(std::uint32_t)), others = 3 * kTile;
    return std::clamp(rows > others ? (rows - others) / 2 : 0, kMinWave, kMaxWave);
  }

  /// Adds a complete sum to its output, which is finished with its last step.
  void collect(std::size_t s, ExtendedPair& sum) {
    const std::size_t output = steps()[s].output;
    total_.add(run_, sum, steps()[s]);
    if (!sum.c0.empty()) spare_.push_back(std::exchange(sum, {}));
    if (s + 1 == steps().size() || steps()[s + 1].output != output) out_[output] = total_.finish(run_);
  }

  /// Fills rows_ with all limbs of the rotations.
  void rotate(std::span<const InputRotation> rotations) {
    const std::size_t limbs = run_.limbs();
    const std::size_t words = run_.map().extended ? 2 * rotations.size() * limbs * pitch() : 0;
    if (storage_.size() < words) storage_ = Buffer<std::uint32_t>(words);
    rotated_.clear();
    rotated_.resize(rotations.size());
    rows_.assign(rotations.size() * limbs, {});
    position_.assign(run_.index_count(), kNone);
    for (std::size_t k = 0; k < rotations.size(); ++k) {
      position_[run_.index(rotations[k].input, rotations[k].baby)] = k;
    }
    for_each_input(run_, rotations, [&](std::size_t begin, std::size_t end, bool hoists) {
      const Hoisted hoisted = hoists ? run_.hoist(rotations[begin].input) : Hoisted();
      if (run_.map().extended) {
        std::optional<DigitRows> digits;
        if (hoists) digits.emplace(run_.layout(), hoisted);
        ring::for_each_limb_in_order((end - begin) * limbs, 4 * n(), [&](std::size_t i) {
          rotate_limb(begin + i / limbs, i % limbs, rotations[begin + i / limbs], digits ? &*digits : nullptr);
        });
      } else {
        ring::for_each_limb_in_order(end - begin, 8 * limbs * n(),
                                     [&](std::size_t i) { rotate_whole(begin + i, rotations[begin + i], hoisted); });
      }
    });
  }

  /// Rotated inputs are kept in Montgomery form, so that the diagonals, of which there are more, need not be.
  void to_montgomery(std::uint32_t* row, std::size_t j) const {
    const ring::Modulus& m = run_.layout().modulus(j);
    ring::kernels().mul_scalar(row, row, m.r1, ring::shoup(m.r1, m), n(), m);
  }

  /// Limb j of rotation k over QP.
  void rotate_limb(std::size_t k, std::size_t j, const InputRotation& rotation, const DigitRows* digits) {
    std::uint32_t* row = storage_.data() + 2 * (k * run_.limbs() + j) * pitch();
    const LimbRows rows = run_.rotate_limb_of(rotation, digits, j, row, row + pitch());
    rows_[k * run_.limbs() + j] = rows;
    if (rows.c0 == nullptr) return;
    to_montgomery(row, j);
    to_montgomery(row + pitch(), j);
  }

  /// All limbs of rotation k over Q. An input that is not rotated stays where and as it is.
  void rotate_whole(std::size_t k, const InputRotation& rotation, const Hoisted& hoisted) {
    const Ciphertext* c = &run_.input(rotation.input);
    if (run_.needs_hoisting(rotation)) {
      rotated_[k] = run_.rotate_whole(rotation, hoisted);
      c = &rotated_[k];
      ring::for_each_limb(2 * run_.limbs(), n(),
                          [&](std::size_t i) { to_montgomery(rotated_[k].parts[i % 2].limb(i / 2), i / 2); });
    }
    for (std::size_t j = 0; j < run_.limbs(); ++j) {
      rows_[k * run_.limbs() + j] = {c->parts[0].limb(j), c->parts[1].limb(j)};
    }
  }

  /// Whether the rotated input at hand is in Montgomery form.
  bool in_montgomery(std::size_t position) const { return run_.map().extended || !rotated_[position].parts.empty(); }

  /// A term of one of the steps in a wave.
  struct WaveTerm {
    std::size_t sum;       // step within the wave
    std::size_t position;  // of its rotated input among those at hand
    std::size_t place;
    int giant;
  };
  std::size_t size_of(const WaveTerm& t) const { return 2 * run_.map().shape.diagonals[t.place].period; }

  /// Adds the products of a wave of steps with the rotations at hand.
  void multiply_steps(std::span<const Step> wave, std::span<ExtendedPair> sums) {
    std::vector<WaveTerm> terms;
    for (std::size_t s = 0; s < wave.size(); ++s) {
      for (const Term& term : wave[s].terms) {
        const std::size_t position = position_[run_.index(term.input, term.baby)];
        if (position != kNone) terms.push_back({s, position, term.place, wave[s].giant});
      }
    }
    std::sort(terms.begin(), terms.end(), [&](const WaveTerm& a, const WaveTerm& b) {
      return std::tuple(size_of(a), a.position / kTile, a.sum, a.position) <
             std::tuple(size_of(b), b.position / kTile, b.sum, b.position);
    });
    for (std::size_t begin = 0; begin < terms.size();) {
      const std::size_t size = size_of(terms[begin]), most = begin + batch(size);
      std::size_t end = begin;
      while (end < terms.size() && end < most && size_of(terms[end]) == size) ++end;
      multiply_batch(std::span(terms).subspan(begin, end - begin), sums);
      begin = end;
    }
  }

  /// How many diagonals are rounded before they are multiplied, in an eighth of the memory if they take two words a
  /// coefficient, but enough to employ all threads.
  std::size_t batch(std::size_t size) const {
    return std::max(memory_ / 8 / (size * 2 * sizeof(std::uint32_t)), static_cast<std::size_t>(threads()));
  }

  /// Terms of one length: their coefficients first, then limb by limb.
  void multiply_batch(std::span<const WaveTerm> terms, std::span<ExtendedPair> sums) {
    run_.evaluator().checkpoint();
    const std::size_t size = size_of(terms[0]);
    if (rounded_.size() < terms.size()) rounded_.resize(terms.size());
    ring::for_each_limb(terms.size(), 16 * size, [&](std::size_t t) { round(terms[t], rounded_[t]); });
    std::vector<char> fresh(sums.size());
    for (const WaveTerm& term : terms) {
      if (!sums[term.sum].c0.empty()) continue;
      sums[term.sum] = new_sum();
      fresh[term.sum] = true;
    }
    ring::for_each_limb(run_.limbs(), terms.size() * size,
                        [&](std::size_t j) { multiply_limb_of(terms, sums, fresh, j); });
  }

  ExtendedPair new_sum() {
    if (spare_.empty()) return run_.sum();
    ExtendedPair sum = std::move(spare_.back());
    spare_.pop_back();
    return sum;
  }

  void round(const WaveTerm& term, RoundedCoefficients& out) const {
    const DiagonalPlace& place = run_.map().shape.diagonals[term.place];
    Scratch<double> values(2 * place.period);
    double *diagonal = values.data(), *rotated = diagonal + place.period;
    if (!dry_run()) source_.diagonal(place, {diagonal, place.period});
    const std::size_t shift = static_cast<std::size_t>(term.giant) % place.period;
    if (!dry_run()) std::rotate_copy(diagonal, diagonal + (place.period - shift), diagonal + place.period, rotated);
    run_.evaluator().encoder().round(std::span<const double>(rotated, place.period), run_.map().plain_scale, out);
  }

  /// Limb j of a batch, tile by tile of the rotated inputs and within it sum by sum. `fresh`: the sums that hold
  /// nothing yet.
  void multiply_limb_of(std::span<const WaveTerm> terms, std::span<ExtendedPair> sums, std::vector<char> fresh,
                        std::size_t j) const {
    for (std::size_t begin = 0; begin < terms.size();) {
      const std::size_t tile = terms[begin].position / kTile;
      std::vector<std::size_t> bounds;  // where the terms of each sum begin
      std::size_t end = begin;
      for (; end < terms.size() && terms[end].position / kTile == tile; ++end) {
        if (end == begin || terms[end].sum != terms[end - 1].sum) bounds.push_back(end);
      }
      bounds.push_back(end);
      ring::for_each_limb(bounds.size() - 1, 8 * kTile * size_of(terms[0]), [&](std::size_t i) {
        const std::size_t sum = terms[bounds[i]].sum;
        multiply_terms(terms, bounds[i], bounds[i + 1], sums[sum], fresh[sum] != 0, j);
        fresh[sum] = false;
      });
      begin = end;
    }
  }

  /// Adds terms [begin, end), at most kTile of one length, to limb j of their sum.
  void multiply_terms(std::span<const WaveTerm> terms, std::size_t begin, std::size_t end, ExtendedPair& sum,
                      bool fresh, std::size_t j) const {
    const std::size_t size = size_of(terms[begin]), stride = size + 64;
    Scratch<std::uint32_t> limbs(kTile * stride);
    const std::uint32_t *c0[kTile], *c1[kTile], *diagonals[kTile];
    std::size_t count = 0;
    for (std::size_t t = begin; t < end; ++t) {
      const LimbRows& rows = rows_[terms[t].position * run_.limbs() + j];
      if (rows.c0 == nullptr) continue;
      std::uint32_t* limb = limbs.data() + count * stride;
      run_.evaluator().encoder().residues(rounded_[t], run_.map().basis[j], !in_montgomery(terms[t].position), limb);
      c0[count] = rows.c0, c1[count] = rows.c1, diagonals[count] = limb;
      ++count;
    }
    if (count == 0 && !fresh) return;
    const ring::Kernels& k = ring::kernels();
    const ring::Modulus& m = run_.layout().modulus(j);
    const int run = std::countr_zero(n()) - std::countr_zero(size);
    k.dot(sum.c0.limb(j), c0, diagonals, count, run, !fresh, n(), m);
    k.dot(sum.c1.limb(j), c1, diagonals, count, run, !fresh, n(), m);
  }

  const MapRun& run_;
  const LinearMapSource& source_;
  const std::size_t memory_;
  const bool stored_ = run_.map().rotates;  // rotated inputs need memory: without rotations they are the inputs
  Buffer<std::uint32_t> storage_;           // of rotated inputs over QP
  std::vector<Ciphertext> rotated_;         // [rotation at hand], over Q; empty where the input itself is meant
  std::vector<LimbRows> rows_;              // [rotation at hand][limb]
  std::vector<std::size_t> position_;       // [index(input, baby)] -> rotation at hand, or kNone
  std::vector<RoundedCoefficients> rounded_;
  std::vector<ExtendedPair> spare_;
  OutputSum total_;  // of the output that is being worked on
  std::vector<Ciphertext> out_;
};

}  // namespace

StreamedLinearMap::StreamedLinearMap(const Parameters& parameters, std::shared_ptr<const LinearMapSource> source,
                                     const BsgsPlan& plan, int level, double plain_scale, std::size_t memory,
                                     Hoisting hoisting)
    : source_(std::move(source)),
      map_(source_->shape(), plan, parameters, level, plain_scale, hoisting),
      memory_(memory) {}

std::vector<Ciphertext> StreamedLinearMap::apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  map_.check_inputs(evaluator, in);
  const MapRun run(map_, evaluator, in);
  const auto held = dry_run() ? nullptr : source_->hold();
  return StreamedRun(run, *source_, memory_).apply();
}

}  // namespace hearth::ckks
