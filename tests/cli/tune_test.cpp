#include "base/parallel.h"
#include "cli/model/tune_file.h"
#include "tests/base/expect_error.h"
#include "tests/cli/shell.h"

// Files of measured costs: who writes them, who reads them, and what is refused.
namespace hearth {
namespace {

using cli::Json;
using testing::Outcome;
using testing::Shell;

class Tune : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shell_ = new Shell;
    tuned_ = new Json(shell_->json("tune --log-n 11,13 -o \"$D/tune.json\""));
  }
  static void TearDownTestSuite() {
    delete tuned_;
    delete shell_;
  }

  /// The tuned file, changed and written under another name.
  static void write(const std::string& name, const std::function<void(Json&)>& change) {
    Json json = Json::parse(std::ifstream(*shell_ / "tune.json"));
    change(json);
    std::ofstream(*shell_ / name) << json;
  }
  static std::string compile(const std::string& options) {
    return "compile models/digits.onnx --calibration models/digits_calibration.npy -o \"$D/out\" " + options;
  }
  static double seconds(const std::string& options) {
    return shell_->json(compile(options)).at("prediction").at("seconds").get<double>();
  }
  /// compile with XDG_CONFIG_HOME = $D/config.
  static Outcome compile_at_home(const std::string& options) {
    return shell_->run("XDG_CONFIG_HOME=\"$D/config\" " + std::string(HEARTH_PROGRAMS) + "/hearth " + compile(options));
  }

  static Shell* shell_;
  static Json* tuned_;
};

Shell* Tune::shell_ = nullptr;
Json* Tune::tuned_ = nullptr;

TEST_F(Tune, MeasuresEveryPrimitiveAtSeveralLevels) {
  EXPECT_EQ(tuned_->at("threads"), threads());
  ASSERT_GE(tuned_->at("levels").size(), 4U);
  for (const Json& level : tuned_->at("levels")) {
    for (const auto& [name, seconds] : level.at("seconds").items()) {
      EXPECT_GT(seconds.get<double>(), 0) << name << level;
      EXPECT_LT(seconds.get<double>(), 1) << name << level;
    }
    const Json& seconds = level.at("seconds");
    EXPECT_GT(seconds.at("rotate"), seconds.at("hoisted"));
    EXPECT_GT(seconds.at("rotate"), seconds.at("product_term"));
  }
}

TEST_F(Tune, MeasuresForAsLongAsAsked) {
  const Json tuned = shell_->json("tune --log-n 11 --seconds 2.5 -o \"$D/long.json\"");
  EXPECT_GE(tuned.at("measuring_seconds").get<double>(), 2.5);
  EXPECT_LT(tuned.at("measuring_seconds").get<double>(), 10) << "and a round more";
  std::size_t levels = 0;
  for (const Json& level : tuned_->at("levels")) levels += level.at("log_n") == 11 ? 1 : 0;
  ASSERT_EQ(tuned.at("levels").size(), levels) << "means of all rounds";
  for (const Json& level : tuned.at("levels")) EXPECT_GT(level.at("seconds").at("rotate"), 0);
}

TEST_F(Tune, PredictionsComeFromTheFileGiven) {
  write("slow.json", [](Json& json) {
    json["processor"] = "another one";
    json["threads"] = 77;
    for (Json& level : json["levels"]) {
      for (auto& [name, seconds] : level["seconds"].items()) seconds = 1000 * seconds.get<double>();
    }
  });
  const double usual = seconds("--tune \"$D/tune.json\"");
  EXPECT_GT(usual, 0);
  EXPECT_EQ(seconds("--tune \"$D/tune.json\""), usual) << "nothing is measured";
  EXPECT_NEAR(seconds("--tune \"$D/slow.json\"") / usual, 1000, 1);
  EXPECT_EQ(shell_->json(compile("--tune \"$D/slow.json\"")).at("prediction").at("threads"), 77);
}

TEST_F(Tune, TheModelDoesNotDependOnCosts) {
  EXPECT_EQ(shell_->json(compile("--tune \"$D/tune.json\"")).at("model_id"), shell_->json(compile("")).at("model_id"));
}

TEST_F(Tune, TheDefaultFileIsFoundAndOnlyUsedWhereItWasMeasured) {
  const Outcome written =
      shell_->run("XDG_CONFIG_HOME=\"$D/config\" " + std::string(HEARTH_PROGRAMS) + "/hearth tune --log-n 13 --json");
  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_TRUE(shell_->exists("config/hearth/tune.json"));
  const auto predicted = [](const Outcome& outcome) {
    return Json::parse(outcome.out).at("prediction").at("seconds").get<double>();
  };
  const Outcome first = compile_at_home("--json"), second = compile_at_home("--json");
  EXPECT_EQ(first.err, "");
  EXPECT_EQ(predicted(first), predicted(second));
  const int other = threads() + 1;
  const Outcome warned = compile_at_home("--json --threads " + std::to_string(other));
  EXPECT_EQ(warned.code, 0);
  EXPECT_NE(warned.err.find("not used; run hearth tune here"), std::string::npos) << warned.err;
  std::ofstream(*shell_ / "config/hearth/tune.json") << "{}";
  const Outcome broken = compile_at_home("--json");
  EXPECT_EQ(broken.code, 0);
  EXPECT_NE(broken.err.find("is no file of hearth tune"), std::string::npos) << broken.err;
}

TEST_F(Tune, MeasuresTiersAndMemoryWhereAsked) {
  EXPECT_FALSE(tuned_->contains("tiers"));
  EXPECT_FALSE(tuned_->contains("dram"));
  const Json json =
      shell_->json("tune --log-n 11 --tier \"file:$D:16M\" --tier emulated:nvme:16M -o \"$D/tiers.json\"");
  const cli::MeasuredStorage storage = cli::read_tuned_storage(*shell_ / "tiers.json");
  ASSERT_TRUE(storage.dram.has_value());
  EXPECT_GT(storage.dram->copy_bandwidth, 1e8);
  ASSERT_EQ(storage.tiers.size(), 2U);
  EXPECT_FALSE(storage.tiers[0].emulated);
  EXPECT_TRUE(storage.tiers[1].emulated);
  EXPECT_EQ(storage.tiers[1].speed.read.size(), 6U);
  EXPECT_EQ(storage.find(memory::parse_tier_spec("emulated:nvme:1G")), &storage.tiers[1].speed);
  EXPECT_EQ(storage.find(memory::parse_tier_spec("emulated:cxl_dram:1G")), nullptr);
  EXPECT_EQ(json.at("tiers").size(), 2U);
  EXPECT_GT(seconds("--tune \"$D/tiers.json\""), 0) << "compile ignores what it does not need";
  shell_->refuses("tune --log-n 11 --tier tape:1:1G -o \"$D/t.json\"", "names no tier");
}

TEST_F(Tune, NonsenseAboutTiersIsRefused) {
  const auto refused = [&](const std::function<void(Json&)>& change, const std::string& part) {
    write("bad.json", [&](Json& json) {
      const Json point = {{"bytes", 4096}, {"latency", 1e-4}, {"bandwidth", 1e9}};
      const Json speed = {{"read", Json::array({point})}, {"write", Json::array({point})}};
      json["tiers"] = Json::array({{{"tier", "file:/x"}, {"emulated", false}, {"speed", speed}}});
      json["dram"] = {{"copy_bandwidth", 1e9}, {"random_latency", 1e-7}};
      change(json);
    });
    expect_error(ErrorKind::kCorrupt, part, [] { cli::read_tuned_storage(*shell_ / "bad.json"); });
  };
  refused([](Json& json) { json["tiers"] = 5; }, "\"tiers\" must be a list");
  refused([](Json& json) { json["tiers"].push_back(5); }, "\"tier\" is missing");
  refused([](Json& json) { json["tiers"][0]["tier"] = "a\nb"; }, "\"tier\" must be a plain text");
  refused([](Json& json) { json["tiers"][0]["emulated"] = 1; }, "\"emulated\" must be true or false");
  refused([](Json& json) { json["tiers"][0]["speed"]["read"] = Json::array(); }, "\"read\" must be a list");
  refused([](Json& json) { json["dram"] = Json::array(); }, "\"copy_bandwidth\" is missing");
  refused([](Json& json) { json["dram"]["random_latency"] = 0; }, "must be a positive number");
}

TEST_F(Tune, NonsenseIsRefused) {
  const auto refused = [&](const std::function<void(Json&)>& change, const std::string& part) {
    write("bad.json", change);
    shell_->refuses(compile("--tune \"$D/bad.json\""), part);
  };
  refused([](Json& json) { json["version"] = 2; }, "version 2, this Hearth reads version 1");
  refused([](Json& json) { json["format"] = "other"; }, "bad.json is no file of hearth tune");
  refused([](Json& json) { json["threads"] = 0; }, "\"threads\" must be a whole number");
  refused([](Json& json) { json["levels"] = Json::array(); }, "\"levels\" must be a list");
  refused([](Json& json) { json["levels"][0]["log_n"] = 99; }, "\"log_n\" must be");
  refused([](Json& json) { json["levels"][0]["log_n"] = 13.5; }, "\"log_n\" must be");
  refused([](Json& json) { json["levels"][1]["seconds"]["rotate"] = -1; }, "\"rotate\" must be a number of seconds");
  refused([](Json& json) { json["levels"][1]["seconds"]["rotate"] = "fast"; }, "\"rotate\" must be");
  refused([](Json& json) { json["levels"][1]["seconds"].erase("encode"); }, "\"encode\" is missing");
  refused([](Json& json) { json["levels"][1].erase("q_primes"); }, "\"q_primes\" is missing");
  refused([](Json& json) { json["levels"].push_back(5); }, "is missing");
  refused([](Json& json) { json["processor"] = std::string(1000, 'x'); }, "\"processor\" must be a short text");
  shell_->refuses(compile("--tune README.md"), "README.md is no file of hearth tune");
  shell_->refuses(compile("--tune \"$D/none.json\""), "none.json: No such file");
  shell_->refuses("tune --log-n 11 -o \"$D/no/such/folder/t.json\"", "no/such/folder");
}

}  // namespace
}  // namespace hearth
