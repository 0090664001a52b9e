#include "base/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/file.h"
#include "temporary_folder.h"

namespace hearth::trace {
namespace {

std::vector<Event> named(const Recording& recording, std::string_view name) {
  std::vector<Event> out;
  std::ranges::copy_if(recording.events, std::back_inserter(out), [&](const Event& e) { return e.name == name; });
  return out;
}

TEST(Trace, RecordsNothingUnlessStarted) {
  stop();
  { const Span span(Category::kCompute, "never"); }
  counter("resident", "keys", 1);
  start();
  EXPECT_TRUE(stop().events.empty());
}

TEST(Trace, SpansNestAndTellWhatTheyAre) {
  start();
  {
    const Span outer(Category::kCompute, "conv1", "linear", 100);
    Span inner(track("nvme"), Category::kRead, "key 7");
    inner.set_bytes(4096);
  }
  counter("resident", "keys", 12.5);
  const Recording recording = stop();
  ASSERT_EQ(recording.events.size(), 3U);
  const Event outer = recording.events[0], inner = recording.events[1];
  EXPECT_EQ(outer.name, "conv1");
  EXPECT_EQ(outer.detail, "linear");
  EXPECT_EQ(outer.value, 100);
  EXPECT_EQ(outer.track, thread_track());
  EXPECT_EQ(inner.value, 4096);
  EXPECT_EQ(recording.tracks.at(inner.track), "nvme");
  EXPECT_EQ(track("nvme"), inner.track);
  EXPECT_LE(outer.begin, inner.begin);
  EXPECT_GE(outer.begin + outer.duration, inner.begin + inner.duration);
  EXPECT_TRUE(recording.events[2].counter);
  EXPECT_EQ(recording.events[2].value, 12.5);
}

TEST(Trace, ThreadsDoNotLoseEvents) {
  constexpr int kThreads = 4, kEvents = 3000;
  start();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([] {
      name_thread("worker");
      for (int i = 0; i < kEvents; ++i) const Span span(Category::kWait, "tick");
    });
  }
  for (auto& thread : threads) thread.join();
  const Recording recording = stop();
  const auto ticks = named(recording, "tick");
  EXPECT_EQ(ticks.size(), static_cast<std::size_t>(kThreads * kEvents));
  EXPECT_TRUE(std::ranges::is_sorted(recording.events, {}, &Event::begin));
  for (const Event& tick : ticks) EXPECT_EQ(recording.tracks.at(tick.track), "worker");
}

TEST(Trace, MayBeStoppedWhileOthersRecord) {
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) const Span span(Category::kCompute, "busy");
  });
  for (int i = 0; i < 50; ++i) {
    start();
    { const Span span(Category::kCompute, "mine"); }
    EXPECT_EQ(named(stop(), "mine").size(), 1U);
  }
  done = true;
  other.join();
}

TEST(Trace, IsWrittenAsJson) {
  start();
  { const Span span(track("tier \"A\""), Category::kWrite, "a\\b\n\xff", "", 7); }
  const TemporaryFolder folder;
  write(folder / "out.json", stop());
  const auto bytes = read_file(folder / "out.json", 1 << 20);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_TRUE(text.starts_with("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{")) << text;
  EXPECT_NE(text.find(R"("args":{"name":"tier \"A\""})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("cat":"write","name":"a\\b\u000a?")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("args":{"detail":"","bytes":7})"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("]}\n"));
}

}  // namespace
}  // namespace hearth::trace
