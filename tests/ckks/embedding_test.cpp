#include "ckks/embedding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "ckks/kernels/embedding_kernels.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;

constexpr std::size_t kLargest = 1 << 13;

struct Rounded {
  std::vector<std::uint32_t> words;
  double largest;
};

Rounded run(const EmbeddingKernels& kernels, const SplitTwiddles& twiddles, const std::vector<Complex>& values,
            double scale) {
  std::vector<double> re, im;
  for (const Complex& value : values) {
    re.push_back(value.real());
    im.push_back(value.imag());
  }
  Rounded out{std::vector<std::uint32_t>(2 * values.size()), 0};
  out.largest = kernels.round(out.words.data(), re.data(), im.data(), twiddles.view(), values.size(),
                              scale / static_cast<double>(values.size()));
  return out;
}

/// The same through embed_inverse, one coefficient at a time.
Rounded expected(const std::vector<Complex>& twiddles, std::vector<Complex> values, double scale) {
  embed_inverse(values, twiddles);
  Rounded out{std::vector<std::uint32_t>(2 * values.size()), 0};
  for (std::size_t j = 0; j < values.size(); ++j) {
    for (const std::size_t half : {0, 1}) {
      const double x = (half == 0 ? values[j].real() : values[j].imag()) * scale;
      out.words[half * values.size() + j] = static_cast<std::uint32_t>(std::llrint(x) + (std::int64_t{1} << 31));
      out.largest = std::max(out.largest, std::abs(x));
    }
  }
  return out;
}

template <typename Body>
void for_each_table(Body&& body) {
  for (const char* name : {"scalar", "avx2", "avx512"}) {
    const EmbeddingKernels* kernels = embedding_kernels_for(name);
    if (kernels == nullptr) {
      std::printf("skipped: this CPU or compiler has no %s\n", name);
      continue;
    }
    EXPECT_STREQ(kernels->name, name);
    body(*kernels);
  }
}

TEST(EmbeddingKernels, EveryInstructionSetGivesTheBitsOfTheInverseEmbedding) {
  const std::vector<Complex> twiddles = embedding_twiddles(kLargest);
  const SplitTwiddles split(twiddles);
  for_each_table([&](const EmbeddingKernels& kernels) {
    for (std::size_t size = kernels.smallest; size <= kLargest; size *= 2) {
      for (const double scale : {1.0, 0x1.8p20, 0x1.fp30}) {
        const std::vector<Complex> values = testing::random_slots(size, static_cast<unsigned>(size));
        const Rounded wanted = expected(twiddles, values, scale), got = run(kernels, split, values, scale);
        EXPECT_EQ(got.words, wanted.words) << kernels.name << ", " << size << " values";
        EXPECT_EQ(got.largest, wanted.largest) << kernels.name << ", " << size << " values";
      }
    }
  });
}

TEST(EmbeddingKernels, LargestTellsWhatDoesNotFitAndWhatIsNotFinite) {
  const std::vector<Complex> twiddles = embedding_twiddles(kLargest);
  const SplitTwiddles split(twiddles);
  for_each_table([&](const EmbeddingKernels& kernels) {
    for (std::size_t at = 0; at < 256; at += 37) {
      std::vector<Complex> values(256, {0.5, -0.25});
      values[at] = {0x1p45, 0};
      EXPECT_GT(run(kernels, split, values, 0x1p10).largest, 0x1p46) << kernels.name;
      values[at] = {0, std::numeric_limits<double>::infinity()};
      EXPECT_FALSE(run(kernels, split, values, 1).largest < HUGE_VAL) << kernels.name;
      values[at] = {std::numeric_limits<double>::quiet_NaN(), 0};
      EXPECT_FALSE(run(kernels, split, values, 1).largest < HUGE_VAL) << kernels.name;
    }
  });
}

}  // namespace
}  // namespace hearth::ckks
