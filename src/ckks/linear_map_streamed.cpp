#include "ckks/linear_map_streamed.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "ckks/linear_map_run.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

/// The limbs of so many diagonals are made and multiplied together that they stay in the second-level cache.
constexpr std::size_t kTileBytes = std::size_t{1} << 20;
constexpr std::size_t kMinTile = 2, kMaxTile = 64;

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
    const bool fits = (stored_ ? all + 1 : 1) * pair <= memory_ / 4 * 3;
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
  std::size_t size_of(const Term& term) const { return 2 * run_.map().shape.diagonals[term.place].period; }

  /// Steps [begin, end) with `group` rotated inputs at a time.
  void run_steps(std::size_t begin, std::size_t end, std::size_t group) {
    const std::vector<InputRotation> all = run_.rotations(begin, end);
    std::vector<ExtendedPair> sums(end - begin);
    for (std::size_t from = 0; from < all.size(); from += group) {
      const std::span rotations = std::span(all).subspan(from, std::min(group, all.size() - from));
      rotate(rotations);
      for (std::size_t s = begin; s < end; ++s) {
        multiply_step(steps()[s], sums[s - begin]);
        if (from + group >= all.size()) collect(s, sums[s - begin]);
      }
    }
  }

  /// Adds a complete sum to its output, which is finished with its last step.
  void collect(std::size_t s, ExtendedPair& sum) {
    const std::size_t output = steps()[s].output;
    total_.add(run_, sum, steps()[s].giant);
    if (!sum.c0.empty()) spare_ = std::exchange(sum, {});
    if (s + 1 == steps().size() || steps()[s + 1].output != output) out_[output] = total_.finish(run_);
  }

  /// Fills rows_ with all limbs of the rotations.
  void rotate(std::span<const InputRotation> rotations) {
    const std::size_t limbs = run_.limbs(), words = stored_ ? 2 * rotations.size() * limbs * pitch() : 0;
    if (storage_.size() < words) storage_ = Buffer<std::uint32_t>(words);
    rows_.assign(rotations.size() * limbs, {});
    position_.assign(run_.index_count(), kNone);
    for (std::size_t begin = 0; begin < rotations.size();) {
      const std::size_t input = rotations[begin].input;
      std::size_t end = begin;
      bool hoists = false;
      for (; end < rotations.size() && rotations[end].input == input; ++end) {
        position_[run_.index(input, rotations[end].baby)] = end;
        hoists = hoists || run_.needs_hoisting(rotations[end]);
      }
      const Hoisted hoisted = hoists ? run_.hoist(input) : Hoisted();
      ring::for_each_limb((end - begin) * limbs, 4 * n(), [&](std::size_t i) {
        const std::size_t k = begin + i / limbs, j = i % limbs;
        // In Montgomery form, so that the diagonals, of which there are more, need not be.
        std::uint32_t* row = stored_ ? storage_.data() + 2 * (k * limbs + j) * pitch() : nullptr;
        rows_[k * limbs + j] = run_.rotate_limb_of(rotations[k], hoisted, j, row, row + (stored_ ? pitch() : 0));
        if (stored_ && rows_[k * limbs + j].c0 != nullptr) {
          const ring::Modulus& m = run_.layout().modulus(j);
          ring::kernels().mul_scalar(row, row, m.r1, ring::shoup(m.r1, m), n(), m);
          ring::kernels().mul_scalar(row + pitch(), row + pitch(), m.r1, ring::shoup(m.r1, m), n(), m);
        }
      });
      begin = end;
    }
  }

  /// Adds the products of one step with the rotations at hand.
  void multiply_step(const Step& step, ExtendedPair& sum) {
    std::vector<Term> terms;
    for (const Term& term : step.terms) {
      if (position_[run_.index(term.input, term.baby)] != kNone) terms.push_back(term);
    }
    for (std::size_t begin = 0; begin < terms.size();) {
      const std::size_t size = size_of(terms[begin]), most = begin + batch(size);
      std::size_t end = begin;
      while (end < terms.size() && end < most && size_of(terms[end]) == size) ++end;
      multiply_batch(std::span(terms).subspan(begin, end - begin), step.giant, sum);
      begin = end;
    }
  }

  /// How many diagonals are rounded before they are multiplied, in an eighth of the memory if they take two words a
  /// coefficient, but enough to employ all threads.
  std::size_t batch(std::size_t size) const {
    return std::max(memory_ / 8 / (size * 2 * sizeof(std::uint32_t)), static_cast<std::size_t>(threads()));
  }

  /// Terms of one length: their coefficients first, then limb by limb.
  void multiply_batch(std::span<const Term> terms, int giant, ExtendedPair& sum) {
    const std::size_t size = size_of(terms[0]);
    if (rounded_.size() < terms.size()) rounded_.resize(terms.size());
    ring::for_each_limb(terms.size(), 16 * size, [&](std::size_t t) { round(terms[t], giant, rounded_[t]); });
    const bool accumulate = !sum.c0.empty();
    if (!accumulate) sum = spare_.c0.empty() ? run_.sum() : std::exchange(spare_, {});
    ring::for_each_limb(run_.limbs(), terms.size() * size,
                        [&](std::size_t j) { multiply_limb_of(terms, j, sum, accumulate); });
  }

  void round(const Term& term, int giant, RoundedCoefficients& out) const {
    const DiagonalPlace& place = run_.map().shape.diagonals[term.place];
    Scratch<double> values(2 * place.period);
    double *diagonal = values.data(), *rotated = diagonal + place.period;
    source_.diagonal(place, {diagonal, place.period});
    const std::size_t shift = static_cast<std::size_t>(giant) % place.period;
    std::rotate_copy(diagonal, diagonal + (place.period - shift), diagonal + place.period, rotated);
    run_.evaluator().encoder().round(std::span<const double>(rotated, place.period), run_.map().plain_scale, out);
  }

  void multiply_limb_of(std::span<const Term> terms, std::size_t j, ExtendedPair& sum, bool accumulate) const {
    const std::size_t size = size_of(terms[0]), stride = size + 64;
    const std::size_t tile = std::clamp(kTileBytes / (size * sizeof(std::uint32_t)), kMinTile, kMaxTile);
    const int run = std::countr_zero(n()) - std::countr_zero(size);
    Scratch<std::uint32_t> limbs(std::min(tile, terms.size()) * stride);
    const std::uint32_t *c0[kMaxTile], *c1[kMaxTile], *diagonals[kMaxTile];
    for (std::size_t begin = 0; begin < terms.size(); begin += tile) {
      std::size_t chosen[kMaxTile], count = 0;
      for (std::size_t t = begin; t < std::min(begin + tile, terms.size()); ++t) {
        const std::size_t position = position_[run_.index(terms[t].input, terms[t].baby)];
        const LimbRows& rows = rows_[position * run_.limbs() + j];
        if (rows.c0 == nullptr) continue;
        c0[count] = rows.c0, c1[count] = rows.c1, diagonals[count] = limbs.data() + count * stride;
        chosen[count++] = t;
      }
      if (count == 0 && accumulate) continue;
      ring::for_each_limb(count, 8 * size, [&](std::size_t i) {
        run_.evaluator().encoder().residues(rounded_[chosen[i]], run_.map().basis[j], !stored_,
                                            limbs.data() + i * stride);
      });
      const ring::Kernels& k = ring::kernels();
      const ring::Modulus& m = run_.layout().modulus(j);
      k.dot(sum.c0.limb(j), c0, diagonals, count, run, accumulate, n(), m);
      k.dot(sum.c1.limb(j), c1, diagonals, count, run, accumulate, n(), m);
      accumulate = true;
    }
  }

  const MapRun& run_;
  const LinearMapSource& source_;
  const std::size_t memory_;
  const bool stored_ = run_.map().extended;  // rotated inputs need memory: without rotations they are the inputs
  Buffer<std::uint32_t> storage_;
  std::vector<LimbRows> rows_;         // [rotation at hand][limb]
  std::vector<std::size_t> position_;  // [index(input, baby)] -> rotation at hand, or kNone
  std::vector<RoundedCoefficients> rounded_;
  ExtendedPair spare_;
  OutputSum total_;  // of the output that is being worked on
  std::vector<Ciphertext> out_;
};

}  // namespace

StreamedLinearMap::StreamedLinearMap(const Parameters& parameters, std::shared_ptr<const LinearMapSource> source,
                                     const BsgsPlan& plan, int level, double plain_scale, std::size_t memory)
    : source_(std::move(source)), map_(source_->shape(), plan, parameters, level, plain_scale), memory_(memory) {}

std::vector<Ciphertext> StreamedLinearMap::apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  map_.check_inputs(evaluator, in);
  const MapRun run(map_, evaluator, in);
  return StreamedRun(run, *source_, memory_).apply();
}

}  // namespace hearth::ckks
