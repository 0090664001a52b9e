#include "ckks/packed_diagonals.h"

#include <gtest/gtest.h>

#include <random>

#include "base/parallel.h"
#include "ckks/linear_map_streamed.h"
#include "ring/kernels/kernels.h"
#include "tests/base/expect_error.h"
#include "tests/ckks/maps.h"
#include "tests/ckks/party.h"
#include "tests/ckks/row_shelf.h"
#include "tests/ckks/specs.h"

// Rows in memory, and the same rows elsewhere.
namespace hearth::ckks {
namespace {

using testing::equal_bits;
using testing::Party;
using testing::Shelf;

constexpr std::size_t kN = 1024;

std::uint32_t word_of(std::size_t diagonal, std::size_t limb, std::size_t i) {
  return static_cast<std::uint32_t>(diagonal * 1'000'000 + limb * 10'000 + i);
}

void fill(PackedDiagonals& diagonals) {
  diagonals.fill([&](std::size_t d, std::size_t j, std::uint32_t* out) {
    for (std::size_t i = 0; i < diagonals.size(d); ++i) out[i] = word_of(d, j, i);
  });
}

void expect_filled(const PackedDiagonals& diagonals) {
  for (std::size_t j = 0; j < diagonals.limbs(); ++j) {
    for (std::size_t d = 0; d < diagonals.count(); ++d) {
      const PackedDiagonals::Limb limb(diagonals, j, diagonals.part(d));
      for (std::size_t count = 1; count <= diagonals.size(d); count *= 2) {
        for (std::size_t from = 0; from < diagonals.size(d); from += count) {
          std::vector<std::uint32_t> room(limb.room(count));
          const std::uint32_t* const words = limb.residues(d, from, count, room.data());
          for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(words[i], word_of(d, j, from + i)) << d << " " << from + i;
        }
      }
    }
  }
}

/// Sizes of up to 40 diagonals, and their parts: all numbers up to the largest occur.
struct Division {
  std::vector<std::size_t> sizes, parts;
  std::size_t count = 0;  // of parts
};

Division random_division(std::mt19937& random, std::size_t most) {
  Division out{.sizes = std::vector<std::size_t>(1 + random() % 40), .parts = {}, .count = 0};
  for (std::size_t& size : out.sizes) size = std::size_t{1} << (random() % 11);
  out.count = std::min(out.sizes.size(), 1 + random() % most);
  for (std::size_t d = 0; d < out.sizes.size(); ++d) out.parts.push_back(d < out.count ? d : random() % out.count);
  std::ranges::shuffle(out.parts, random);
  return out;
}

/// What the recipe of a place makes is what was put there, and it needs nothing of those who taught it.
TEST(PackedDiagonals, CanBeMadeAnew) {
  std::mt19937 random(2);
  for (int i = 0; i < 20; ++i) {
    const auto [sizes, parts, count] = random_division(random, 4);
    Shelf shelf(kN);
    {
      PackedDiagonals stored(sizes, 3, kN, &shelf, parts);
      stored.fill(
          [sizes = sizes](std::size_t d, std::size_t j, std::uint32_t* out) {
            for (std::size_t k = 0; k < sizes[d]; ++k) out[k] = word_of(d, j, k);
          },
          123);
      fill(stored);
    }
    ASSERT_EQ(shelf.recipes().size(), 1U) << "without bytes there is none";
    EXPECT_EQ(shelf.recipes()[0].bytes, 123U);
    const RowSource& place = *shelf.places()[0];
    ASSERT_EQ(place.limbs(), 3 * count);
    for (std::size_t j = 0; j < place.limbs(); ++j) {
      std::size_t words = 0;
      for (std::size_t d = 0; d < sizes.size(); ++d) words += parts[d] == j % count ? sizes[d] : 0;
      std::vector<std::uint32_t> made(place.rows() * kN);
      for (std::size_t r = 0; r < place.rows(); ++r) shelf.recipes()[0].make(j, r, made.data() + r * kN);
      const HeldRows held(place, j, place.rows());
      std::vector<std::uint32_t> put(place.rows() * kN);
      for (std::size_t r = 0; r < place.rows(); ++r) ring::kernels().unpack(put.data() + r * kN, held[r], kN);
      for (std::size_t w = 0; w < words; ++w) ASSERT_EQ(made[w], put[w]) << w;
    }
  }
}

TEST(PackedDiagonals, AreTheSameInMemoryAndInAStore) {
  std::mt19937 random(1);
  for (int i = 0; i < 30; ++i) {
    std::vector<std::size_t> sizes(1 + random() % 40);
    for (std::size_t& size : sizes) size = std::size_t{1} << (random() % 11);
    PackedDiagonals memory(sizes, 3, kN);
    fill(memory);
    expect_filled(memory);
    Shelf shelf(kN);
    PackedDiagonals stored(sizes, 3, kN, &shelf);
    fill(stored);
    expect_filled(stored);
    ASSERT_EQ(shelf.places().size(), 1U);
    EXPECT_EQ(shelf.places()[0]->rows(), stored.rows());
    EXPECT_EQ(shelf.places()[0]->limbs(), 3U);
    EXPECT_EQ(shelf.acquired(), 3 * stored.count());
    EXPECT_EQ(stored.bytes(), memory.bytes());
    EXPECT_LE(stored.words(), stored.rows() * kN);
    EXPECT_GT(stored.words() + kN, stored.rows() * kN);
  }
}

/// A part takes the rows that its own diagonals fill.
TEST(PackedDiagonals, PartsAreTheSameInMemoryAndInAStore) {
  std::mt19937 random(3);
  for (int i = 0; i < 30; ++i) {
    const auto [sizes, parts, count] = random_division(random, 5);
    PackedDiagonals memory(sizes, 3, kN, nullptr, parts);
    fill(memory);
    expect_filled(memory);
    Shelf shelf(kN);
    PackedDiagonals stored(sizes, 3, kN, &shelf, parts);
    fill(stored);
    expect_filled(stored);
    ASSERT_EQ(shelf.places().size(), 1U);
    EXPECT_EQ(shelf.places()[0]->limbs(), 3 * count);
    EXPECT_EQ(stored.bytes(), memory.bytes());
    std::vector<std::size_t> words(count);
    for (std::size_t d = 0; d < sizes.size(); ++d) words[stored.part(d)] += sizes[d];
    std::size_t most = 0;
    for (std::size_t part = 0; part < count; ++part) {
      EXPECT_EQ(stored.rows(part), (words[part] + kN - 1) / kN);
      most = std::max(most, stored.rows(part));
    }
    EXPECT_EQ(shelf.places()[0]->rows(), most);
  }
}

TEST(PackedDiagonals, LimbsMayBeReadSideBySide) {
  const std::vector<std::size_t> sizes{kN, 16, kN, 256, 1};
  Shelf shelf(kN);
  PackedDiagonals stored(sizes, 4, kN, &shelf);
  fill(stored);
  parallel_for(0, 8, [&](std::size_t) { expect_filled(stored); });
}

TEST(PackedDiagonals, NoneAreNothing) {
  PackedDiagonals none({}, 3, kN);
  fill(none);
  EXPECT_EQ(none.count(), 0U);
  EXPECT_EQ(none.rows(), 0U);
  EXPECT_EQ(none.bytes(), 0U);
}

/// Of every level, in memory and with everything on a shelf.
class Shelved : public ::testing::Test {
 protected:
  Shelved()
      : party_(testing::mixed_spec(10), {1, 2, 3, 4, 8, 12, 16}),
        shelf_(party_.parameters->n()),
        keys_(shelved(party_.keys, shelf_)),
        evaluator_(party_.parameters, &keys_) {}
  ~Shelved() override { set_threads(before_); }

  Ciphertext encrypt(int level, unsigned seed) const {
    return party_.encrypt(testing::random_slots(party_.parameters->slots(), seed), level, 0x1p25);
  }
  static void expect_same(const std::vector<Ciphertext>& a, const std::vector<Ciphertext>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(equal_bits(a[i], b[i])) << i;
  }

  int before_ = threads();
  Party party_;
  Shelf shelf_;
  EvaluationKeys keys_;
  Evaluator evaluator_;
};

TEST_F(Shelved, RotationsHaveTheSameBits) {
  for (const int count : {1, before_}) {
    set_threads(count);
    for (int level = 0; level <= party_.parameters->max_level(); ++level) {
      SCOPED_TRACE(level);
      const Ciphertext c = encrypt(level, 1);
      for (const int steps : {1, 12}) {
        EXPECT_TRUE(equal_bits(evaluator_.rotate(c, steps), party_.evaluator.rotate(c, steps)));
      }
      EXPECT_TRUE(equal_bits(evaluator_.conjugate(c), party_.evaluator.conjugate(c)));
      const std::vector<int> steps{1, 0, 3, 16};
      expect_same(evaluator_.rotate_hoisted(c, steps), party_.evaluator.rotate_hoisted(c, steps));
    }
  }
}

TEST_F(Shelved, RelinearisationsHaveTheSameBits) {
  for (int level = 0; level <= party_.parameters->max_level(); ++level) {
    SCOPED_TRACE(level);
    const Ciphertext a = encrypt(level, 2), b = encrypt(level, 3);
    Ciphertext shelved = evaluator_.multiply(a, b), plain = party_.evaluator.multiply(a, b);
    evaluator_.relinearize_inplace(shelved);
    party_.evaluator.relinearize_inplace(plain);
    EXPECT_TRUE(equal_bits(shelved, plain));
    if (level == 0) continue;
    shelved = evaluator_.multiply(a, b), plain = party_.evaluator.multiply(a, b);
    evaluator_.relinearize_rescale_inplace(shelved);
    party_.evaluator.relinearize_rescale_inplace(plain);
    EXPECT_TRUE(equal_bits(shelved, plain));
  }
}

/// Keys and diagonals, one, the other, and both, with one and two inputs and outputs, long and short periods.
TEST_F(Shelved, LinearMapsHaveTheSameBits) {
  const BsgsPlan plan{.step = 4, .babies = {0, 1, 2, 3}, .giants = {0, 4, 8, 12}};
  for (const std::size_t period : {std::size_t{16}, party_.parameters->slots()}) {
    for (const int width : {1, 2}) {
      const LinearMap map = testing::random_map(width, width, {0, 1, 3, 6, 9, 15}, period, 5);
      for (const int level : {0, 2, 4}) {
        SCOPED_TRACE(level);
        std::vector<Ciphertext> in;
        for (int i = 0; i < width; ++i) in.push_back(encrypt(level, 7U + static_cast<unsigned>(i)));
        const Parameters& parameters = *party_.parameters;
        const PreparedLinearMap memory(party_.encoder(), parameters, map, plan, level, 0x1p25);
        Shelf diagonals(parameters.n());
        const PreparedLinearMap stored(party_.encoder(), parameters, map, plan, level, 0x1p25, kLinearMapMemory,
                                       &diagonals);
        EXPECT_EQ(stored.bytes(), memory.bytes());
        const bool large = width == 2 && period > 16;  // more diagonals than are moved together
        EXPECT_EQ(diagonals.places()[0]->limbs() > parameters.qp_basis(level, parameters.key_set_for(level)).size(),
                  large);
        const std::vector<Ciphertext> expected = memory.apply(party_.evaluator, in);
        for (const int count : {1, before_}) {
          set_threads(count);
          expect_same(memory.apply(evaluator_, in), expected);
          expect_same(stored.apply(party_.evaluator, in), expected);
          expect_same(stored.apply(evaluator_, in), expected);
        }
        expect_same(stored.apply_naive(party_.evaluator, in), memory.apply_naive(party_.evaluator, in));
        EXPECT_GT(diagonals.acquired(), 0U);
        EXPECT_EQ(diagonals.places()[0]->held(), 0);
      }
    }
  }
}

/// Where little may be held at once, rows are asked for again and again.
TEST_F(Shelved, LinearMapsWithLittleMemoryHaveTheSameBits) {
  const BsgsPlan plan{.step = 4, .babies = {0, 1, 2, 3}, .giants = {0, 4, 8, 12}};
  const LinearMap map = testing::random_map(2, 2, {0, 1, 2, 5, 7, 10, 14}, party_.parameters->slots(), 9);
  std::vector<Ciphertext> in;
  for (unsigned i = 0; i < 2; ++i) in.push_back(encrypt(4, 11 + i));
  for (const std::size_t memory : {std::size_t{1}, std::size_t{300'000}}) {
    const PreparedLinearMap plain(party_.encoder(), *party_.parameters, map, plan, 4, 0x1p25, memory);
    Shelf diagonals(party_.parameters->n());
    const PreparedLinearMap stored(party_.encoder(), *party_.parameters, map, plan, 4, 0x1p25, memory, &diagonals);
    expect_same(stored.apply(evaluator_, in), plain.apply(party_.evaluator, in));
  }
}

TEST_F(Shelved, StreamedMapsHaveTheSameBits) {
  const BsgsPlan plan{.step = 4, .babies = {0, 1, 2, 3}, .giants = {0, 4, 8, 12}};
  const auto source =
      std::make_shared<StoredLinearMap>(testing::random_map(2, 2, {0, 1, 3, 6, 9, 15}, party_.parameters->slots(), 13));
  std::vector<Ciphertext> in;
  for (unsigned i = 0; i < 2; ++i) in.push_back(encrypt(3, 17 + i));
  const StreamedLinearMap map(*party_.parameters, source, plan, 3, 0x1p25);
  expect_same(map.apply(evaluator_, in), map.apply(party_.evaluator, in));
}

TEST_F(Shelved, KeysOfAnotherShapeAreRefused) {
  const Ciphertext c = encrypt(4, 1);
  SwitchingKey& key = keys_.galois.at({1, galois_element(1, party_.parameters->log_n())});
  key.rows = shelf_.place(2, key.digits());
  expect_error(ErrorKind::kMismatch, "has 2 limbs, expected", [&] { evaluator_.rotate(c, 1); });
}

/// Storage that fails ends an evaluation with what it throws, and every row is released.
class Broken final : public RowSource {
 public:
  Broken(std::shared_ptr<const RowSource> inner, std::size_t limb) : inner_(std::move(inner)), limb_(limb) {}
  std::size_t limbs() const override { return inner_->limbs(); }
  std::size_t rows() const override { return inner_->rows(); }
  void acquire(std::size_t limb, std::span<const std::uint32_t*> out) const override {
    if (limb == limb_) throw Error(ErrorKind::kIo, "the shelf broke");
    inner_->acquire(limb, out);
  }
  void release(std::size_t limb) const noexcept override { inner_->release(limb); }

 private:
  std::shared_ptr<const RowSource> inner_;
  std::size_t limb_;
};

TEST_F(Shelved, ErrorsOfStorageEndTheEvaluation) {
  const Ciphertext c = encrypt(4, 1);
  SwitchingKey& key = keys_.galois.at({1, galois_element(1, party_.parameters->log_n())});
  const std::shared_ptr<const RowSource> whole = key.rows;
  for (std::size_t limb = 0; limb < whole->limbs(); ++limb) {
    key.rows = std::make_shared<Broken>(whole, limb);
    expect_error(ErrorKind::kIo, "the shelf broke", [&] { evaluator_.rotate(c, 1); });
    EXPECT_EQ(dynamic_cast<const testing::ShelfRows&>(*whole).held(), 0);
  }
  key.rows = whole;
  EXPECT_TRUE(equal_bits(evaluator_.rotate(c, 1), party_.evaluator.rotate(c, 1)));
}

}  // namespace
}  // namespace hearth::ckks
