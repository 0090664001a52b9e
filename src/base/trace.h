#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

/// Records what a process does over time: spans on tracks, and counters. Off until start(); then an event costs two
/// readings of the clock and a place in its thread's own buffer, without locks. Off, a span costs one load. All
/// functions are thread safe.
namespace hearth::trace {

enum class Category : std::uint8_t { kCompute, kRead, kWrite, kWait, kCheckpoint };
/// "compute", "read", "write", "wait", "checkpoint".
std::string_view to_string(Category category);

/// A line of the picture: what happens on it happens one after the other, or nested.
using Track = std::uint32_t;

/// The track of that name, for a tier or a device; the same for the same name. Takes a lock: call it once.
Track track(std::string_view name);
/// The calling thread's own, on which its spans appear unless they say otherwise.
Track thread_track();
void name_thread(std::string_view name);

/// Forgets what was recorded before, and records from now on.
void start();
bool enabled();

/// One event: a span, or a counter's value from a moment on.
struct Event {
  bool counter = false;
  Category category = Category::kCompute;
  Track track = 0;
  std::int64_t begin = 0;     ///< nanoseconds since start()
  std::int64_t duration = 0;  ///< nanoseconds; 0 for counters
  double value = 0;           ///< of a counter; of a span the bytes it moved, 0 if that is not known
  std::string name;           ///< what was done; of a counter its group, e.g. "resident"
  std::string detail;         ///< more about it, e.g. the kind of operation; of a counter its series, e.g. "keys"
};

/// From construction to destruction.
class Span {
 public:
  Span(Category category, std::string_view name, std::string_view detail = {}, double bytes = 0);
  Span(Track track, Category category, std::string_view name, std::string_view detail = {}, double bytes = 0);
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  /// Where it is known only later.
  void set_bytes(double bytes) { event_.value = bytes; }

 private:
  bool recording_;
  Event event_;
};

/// The clock that spans are recorded by, in nanoseconds.
std::int64_t clock();
/// A span that has been, between two times of clock(), for what begins on one thread and ends on another.
void span(Track track, Category category, std::string_view name, std::int64_t begin, std::int64_t end,
          double bytes = 0);

/// The value of one series of a group from now on.
void counter(std::string_view group, std::string_view series, double value);

/// What was recorded.
struct Recording {
  std::vector<std::string> tracks;  ///< names, by number
  std::vector<Event> events;        ///< by the time they began
};

/// Ends recording. Spans that go on are not in it.
Recording stop();

/// As Chrome and Perfetto read it (JSON, "traceEvents"); docs/format_trace.md. Error(kIo).
void write(const std::filesystem::path& path, const Recording& recording);

}  // namespace hearth::trace
