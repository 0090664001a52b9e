#include "cli/common/ranking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hearth::cli {
namespace {

using Names = std::vector<std::string>;
using Values = std::vector<float>;

std::vector<std::size_t> order(const Values& outputs, std::size_t count) {
  std::vector<std::size_t> out;
  for (const RankedClass& entry : rank(outputs, {}, count)) out.push_back(entry.index);
  return out;
}

TEST(Rank, TheLargestFirst) {
  EXPECT_EQ(order({1, 5, -2, 3}, 3), (std::vector<std::size_t>{1, 3, 0}));
  EXPECT_EQ(order({1, 5, -2, 3}, 9), (std::vector<std::size_t>{1, 3, 0, 2}));
  EXPECT_EQ(order({2, 2, 2}, 2), (std::vector<std::size_t>{0, 1})) << "equal ones keep their order";
  EXPECT_EQ(order({std::numeric_limits<float>::quiet_NaN(), -1, 1}, 3), (std::vector<std::size_t>{2, 1, 0}));
  EXPECT_EQ(order({}, 5), std::vector<std::size_t>{});
}

TEST(Rank, ProbabilitiesAreThoseOfSoftmax) {
  const Values outputs{0.5F, -1, 2, 0};
  double sum = 0;
  for (const double value : outputs) sum += std::exp(value);
  for (const RankedClass& entry : rank(outputs, {}, 4)) {
    EXPECT_NEAR(entry.probability, std::exp(static_cast<double>(outputs[entry.index])) / sum, 1e-12);
    EXPECT_EQ(entry.output, outputs[entry.index]);
  }
  const auto large = rank(Values{3000, 2999}, {}, 2);
  EXPECT_NEAR(large[0].probability, 1 / (1 + std::exp(-1)), 1e-12);
}

TEST(Rank, NamesFollowTheirOutputs) {
  const Names names{"ant", "bee", "fly"};
  const auto ranking = rank(Values{1, 3, 2}, names, 2);
  EXPECT_EQ(ranking[0].name, "bee");
  EXPECT_EQ(ranking[1].name, "fly");
  const std::string text = format_ranking(ranking);
  EXPECT_NE(text.find("class 1: bee\n"), std::string::npos) << text;
  EXPECT_NE(text.find("66.52 %"), std::string::npos) << text;
  EXPECT_NE(format_ranking(rank(Values{1, 3, 2}, {}, 1)).find("class 1\n"), std::string::npos);
}

TEST(Rank, AsJson) {
  const Json json = to_json(rank(Values{1, 3}, Names{"ant", "bee"}, 1));
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0].at("class"), 1);
  EXPECT_EQ(json[0].at("output"), 3);
  EXPECT_EQ(json[0].at("name"), "bee");
  EXPECT_NEAR(json[0].at("probability").get<double>(), 1 / (1 + std::exp(-2)), 1e-12);
  EXPECT_FALSE(to_json(rank(Values{1}, {}, 1))[0].contains("name"));
}

}  // namespace
}  // namespace hearth::cli
