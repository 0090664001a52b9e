#include "runtime/progress_meter.h"

#include <gtest/gtest.h>

#include <optional>

namespace hearth::runtime {
namespace {

class Meter : public ::testing::Test {
 protected:
  struct Told {
    double done, total;
    std::string name;
  };
  /// What has been told since the last call.
  std::optional<Told> told() { return std::exchange(told_, std::nullopt); }

  double now_ = 100;
  std::optional<Told> told_;
  ProgressMeter meter_{{1, 4, 5},
                       [this](double done, double total, const std::string& name) {
                         told_ = {done, total, name};
                       },
                       [this] { return now_; }};
};

TEST_F(Meter, CountsWhatIsDone) {
  meter_.begin(0, "a");
  EXPECT_EQ(told()->done, 0);
  meter_.begin(1, "b");
  EXPECT_EQ(told()->done, 1);
  meter_.begin_part(0.5, 1);
  const auto half = told();
  EXPECT_EQ(half->done, 3);
  EXPECT_EQ(half->total, 10);
  EXPECT_EQ(half->name, "b");
  meter_.begin(2, "c");
  EXPECT_EQ(told()->done, 5);
  meter_.finish();
  EXPECT_EQ(told()->done, 10);
}

TEST_F(Meter, GuessesFromThePaceSoFar) {
  meter_.begin(0, "a");
  told();
  now_ += 1;
  meter_.tick();
  EXPECT_FALSE(told()) << "no pace is known yet";
  now_ += 1;  // two seconds a unit, so b should take 8
  meter_.begin(1, "b");
  told();
  now_ += 0.05;
  meter_.tick();
  EXPECT_FALSE(told()) << "too soon to be worth it";
  now_ += 1.95;
  meter_.tick();
  EXPECT_DOUBLE_EQ(told()->done, 1 + 4 * 0.25);
  now_ += 1000;
  meter_.tick();
  EXPECT_DOUBLE_EQ(told()->done, 1 + 4 * 0.9);
  now_ = 110;
  meter_.begin_part(0.5, 1);  // half of b: 3 units in 10 seconds
  told();
  now_ += 10.0 / 3;
  meter_.tick();
  EXPECT_DOUBLE_EQ(told()->done, 3 + 1);
}

TEST_F(Meter, OtherThreadsTellNothing) {
  meter_.begin(0, "a");
  now_ += 1;
  meter_.begin(1, "b");
  told();
  now_ += 1;
  std::thread([this] { meter_.tick(); }).join();
  EXPECT_FALSE(told());
  meter_.tick();
  EXPECT_TRUE(told());
}

TEST(MeterWithoutReport, IsHarmless) {
  ProgressMeter meter({1, 2}, {}, [] { return 0.0; });
  meter.begin(0, "a");
  meter.tick();
  meter.finish();
}

}  // namespace
}  // namespace hearth::runtime
