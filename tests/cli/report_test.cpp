#include "base/file.h"
#include "base/npy.h"
#include "cli/report/page.h"
#include "cli/report/trace_file.h"
#include "tests/base/expect_error.h"
#include "tests/cli/shell.h"

// Recordings of runs: read back, summed up, shown.
namespace hearth::cli {
namespace {

using trace::Category;
using trace::Event;

constexpr std::int64_t kMilli = 1'000'000;

Event span(Category category, trace::Track track, std::int64_t begin, std::int64_t duration, double bytes,
           const char* name, const char* detail = "") {
  return {.counter = false,
          .category = category,
          .track = track,
          .begin = begin * kMilli,
          .duration = duration * kMilli,
          .value = bytes,
          .name = name,
          .detail = detail};
}

Event resident(std::int64_t begin, const char* series, double bytes) {
  return {.counter = true, .begin = begin * kMilli, .value = bytes, .name = "resident", .detail = series};
}

/// 100 ms: two layers, reads during both, a wait, and two classes of objects in memory.
trace::Recording recording() {
  return {.tracks = {"compute", "nvme"},
          .events = {resident(0, "keys", 1000), span(Category::kCompute, 0, 0, 40, 4e6, "conv", "linear"),
                     span(Category::kCompute, 0, 10, 5, 1e6, "part", "linear"),
                     span(Category::kRead, 1, 20, 10, 2e6, "key 1"), resident(30, "keys", 3000),
                     span(Category::kWait, 0, 40, 10, 0, "key 2"), resident(45, "values", 500),
                     span(Category::kCompute, 0, 50, 50, 6e6, "relu", "activation"),
                     span(Category::kWrite, 1, 60, 20, 1e6, "value 3"), resident(70, "keys", 100)}};
}

TEST(Report, SumsUpWhatWasRecorded) {
  const TraceSummary s = summarise(recording(), 10);
  EXPECT_NEAR(s.seconds, 0.1, 1e-9);
  ASSERT_EQ(s.layers.size(), 2U) << "a part of a layer is no layer";
  EXPECT_EQ(s.layers[0].name, "conv");
  EXPECT_NEAR(s.layers[0].seconds, 0.04, 1e-9);
  EXPECT_EQ(s.layers[0].tier_bytes, 2e6);
  EXPECT_NEAR(s.layers[0].rate(), 1e8, 1);
  EXPECT_EQ(s.layers[1].tier_bytes, 1e6);
  ASSERT_EQ(s.operations.size(), 2U);
  EXPECT_EQ(s.operations[0].name, "activation") << "the longest first";
  ASSERT_EQ(s.traffic.size(), 2U);
  EXPECT_EQ(s.traffic[0].name, "nvme");
  EXPECT_EQ(s.traffic[0].detail, "read");
  EXPECT_EQ(s.traffic[1].detail, "write");
  ASSERT_EQ(s.waits.size(), 1U);
  EXPECT_NEAR(s.waits[0].seconds, 0.01, 1e-9);
}

TEST(Report, FollowsMemory) {
  const Occupancy r = summarise(recording(), 10).resident;
  EXPECT_EQ(r.classes, (std::vector<std::string>{"keys", "values"}));
  EXPECT_EQ(r.values[0], (std::vector<double>{1000, 1000, 3000, 3000, 3000, 3000, 3000, 100, 100, 100}));
  EXPECT_EQ(r.values[1], (std::vector<double>{0, 0, 0, 0, 500, 500, 500, 500, 500, 500}));
  EXPECT_EQ(r.peaks, (std::vector<double>{3000, 500}));
  EXPECT_EQ(r.peak, 3500);
}

TEST(Report, ReadsWhatTheRecorderWrites) {
  const hearth::TemporaryFolder folder;
  trace::Recording before = recording();
  before.events[1].name = "a <b> \"c\"\\\n";
  trace::write(folder / "t.json", before);
  const trace::Recording after = read_trace(folder / "t.json");
  EXPECT_EQ(after.tracks, before.tracks);
  ASSERT_EQ(after.events.size(), before.events.size());
  for (std::size_t i = 0; i < after.events.size(); ++i) {
    EXPECT_EQ(after.events[i].name, before.events[i].name);
    EXPECT_EQ(after.events[i].detail, before.events[i].detail);
    EXPECT_EQ(after.events[i].begin, before.events[i].begin);
    EXPECT_EQ(after.events[i].duration, before.events[i].duration);
    EXPECT_EQ(after.events[i].value, before.events[i].value);
    EXPECT_EQ(after.events[i].track, before.events[i].track);
  }
}

TEST(Report, ForeignFilesAreRefused) {
  for (const char* const text : {"", "no json", "[]", "{}", R"({"traceEvents":1})", R"({"traceEvents":[1]})",
                                 R"({"traceEvents":[{"ph":"X","cat":"read","ts":-1}]})",
                                 R"({"traceEvents":[{"ph":"X","cat":"read","ts":1e300}]})",
                                 R"({"traceEvents":[{"ph":"X","cat":"read","ts":1,"dur":1e300}]})"}) {
    expect_error(ErrorKind::kCorrupt, "foreign", [&] { parse_trace(text, "foreign"); });
  }
  const auto other = parse_trace(R"({"traceEvents":[{"ph":"X","cat":"gpu","ts":1},{"ph":"B"},{"ph":7},{}]})", "other");
  EXPECT_TRUE(other.events.empty());
  EXPECT_EQ(summarise(other).layers.size(), 0U);
  EXPECT_FALSE(to_text(summarise(other)).empty());
}

TEST(Report, ThePageIsCompleteAndHarmless) {
  trace::Recording with_markup = recording();
  with_markup.events[1].name = "<script>alert(1)</script>";
  const std::string page = to_html(summarise(with_markup), "a & b");
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos) << "nothing is loaded";
  EXPECT_NE(page.find("<h1>a &amp; b</h1>"), std::string::npos);
  for (const char* const part : {"<polygon", "<rect", "<circle", "<pre>", "</html>"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf\""), std::string::npos);
}

TEST(Report, OfARealRun) {
  const testing::Shell shell;
  shell.json("compile models/digits.onnx --calibration models/digits_calibration.npy -o \"$D/out\"");
  shell.json("keygen \"$D/out/client.hearth\" -o \"$D/keys\"");
  shell.json(
      "encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input models/digits_images.npy --count 2 -o "
      "\"$D/input.ct\"");
  const std::string run =
      "run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input \"$D/input.ct\" -o \"$D/output.ct\"";
  const Json ran = shell.json(run + " --trace \"$D/t.json\" --checkpoint \"$D/kept\"");
  const Json report = shell.json("report \"$D/t.json\" -o \"$D/t.html\"");
  EXPECT_EQ(report.at("layers").size(), ran.at("stages").size());
  double compute = 0, stages = 0;
  for (const Json& layer : report.at("layers")) compute += layer.at("seconds").get<double>() / 2;
  for (const Json& stage : ran.at("stages")) stages += stage.at("seconds").get<double>();
  EXPECT_LE(compute, 1.01 * stages);
  EXPECT_GT(compute, 0.5 * stages) << "stages count what is between instructions, too";
  EXPECT_EQ(report.at("traffic").at(0).at("detail"), "checkpoint");
  EXPECT_TRUE(shell.exists("t.html"));
  const testing::Outcome text = shell.hearth("report \"$D/t.json\"");
  EXPECT_NE(text.out.find("/fc1/Gemm"), std::string::npos) << text.out;
  shell.refuses("report README.md", "README.md is no trace");
  shell.refuses("report \"$D/t.json\" -o \"$D/t.json\"", "is the input");
  shell.refuses(run + " --trace \"$D/input.ct\"", "is the input");
}

}  // namespace
}  // namespace hearth::cli
