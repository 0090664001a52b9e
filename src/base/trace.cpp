#include "base/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace hearth::trace {
namespace {

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Events of one thread in the order they ended. Its owner appends, others may read what is published.
struct Chunk {
  std::array<Event, 512> events;
  std::atomic<std::size_t> used{0};
  std::atomic<Chunk*> next{nullptr};
};

class Buffer {
 public:
  Buffer() : last_(&first_) {}
  ~Buffer() {
    for (Chunk* chunk = first_.next; chunk;) delete std::exchange(chunk, chunk->next.load());
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /// Times are of the clock, not of the recording.
  void append(Event event) {
    std::size_t used = last_->used.load(std::memory_order_relaxed);
    if (used == last_->events.size()) {
      auto* const more = new Chunk;
      last_->next.store(more, std::memory_order_release);
      last_ = more;
      used = 0;
    }
    last_->events[used] = std::move(event);
    last_->used.store(used + 1, std::memory_order_release);
  }

  template <typename Body>
  void for_each(Body&& body) const {
    for (const Chunk* chunk = &first_; chunk; chunk = chunk->next.load(std::memory_order_acquire)) {
      const std::size_t used = chunk->used.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < used; ++i) body(chunk->events[i]);
    }
  }

 private:
  Chunk first_;
  Chunk* last_;
};

/// Everything that is shared; never destroyed, since threads may outlive main().
struct Recorder {
  std::mutex mutex;
  std::vector<std::string> tracks;
  std::vector<std::shared_ptr<Buffer>> buffers;  // of threads that recorded since start()
};

Recorder& recorder() {
  static auto* const instance = new Recorder;
  return *instance;
}

std::atomic<bool> on{false};
std::atomic<std::int64_t> started{0};
std::atomic<std::uint64_t> generation{0};

struct ThreadState {
  std::shared_ptr<Buffer> buffer;
  std::uint64_t recording = 0;  // that the buffer belongs to
  Track track = 0;
  bool has_track = false;
};
thread_local ThreadState self;

Track add_track(std::string name) {
  recorder().tracks.push_back(std::move(name));
  return static_cast<Track>(recorder().tracks.size() - 1);
}

void record(Event&& event) {
  const std::uint64_t current = generation.load(std::memory_order_acquire);
  if (!self.buffer || self.recording != current) {
    self.buffer = std::make_shared<Buffer>();
    self.recording = current;
    const std::lock_guard lock(recorder().mutex);
    if (current == generation.load()) recorder().buffers.push_back(self.buffer);
  }
  self.buffer->append(std::move(event));
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// Names come from models, and JSON is UTF-8.
std::string json_text(std::string_view text) {
  if (is_plain_text(text)) return json_string(text);
  std::string ascii(text);
  for (char& c : ascii) c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
  return json_string(ascii);
}

double microseconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

std::string json_of(const Event& event) {
  if (event.counter) {
    return fmt::format(R"({{"ph":"C","pid":1,"name":{},"ts":{:.3f},"args":{{{}:{}}}}})", json_text(event.name),
                       microseconds(event.begin), json_text(event.detail), event.value);
  }
  return fmt::format(
      R"({{"ph":"X","pid":1,"tid":{},"cat":"{}","name":{},"ts":{:.3f},"dur":{:.3f},"args":{{"detail":{},"bytes":{}}}}})",
      event.track, to_string(event.category), json_text(event.name), microseconds(event.begin),
      microseconds(event.duration), json_text(event.detail), event.value);
}

}  // namespace

std::string_view to_string(Category category) {
  constexpr std::array<std::string_view, 5> kNames{"compute", "read", "write", "wait", "checkpoint"};
  return kNames.at(static_cast<std::size_t>(category));
}

Track track(std::string_view name) {
  const std::lock_guard lock(recorder().mutex);
  const auto& tracks = recorder().tracks;
  const auto found = std::ranges::find(tracks, name);
  return found != tracks.end() ? static_cast<Track>(found - tracks.begin()) : add_track(std::string(name));
}

Track thread_track() {
  if (!self.has_track) {
    const std::lock_guard lock(recorder().mutex);
    self.track = add_track(fmt::format("thread {}", recorder().tracks.size()));
    self.has_track = true;
  }
  return self.track;
}

void name_thread(std::string_view name) {
  const Track own = thread_track();
  const std::lock_guard lock(recorder().mutex);
  recorder().tracks[own] = name;
}

void start() {
  const std::lock_guard lock(recorder().mutex);
  recorder().buffers.clear();
  started = now();
  ++generation;
  on = true;
}

bool enabled() { return on.load(std::memory_order_relaxed); }

Span::Span(Category category, std::string_view name, std::string_view detail, double bytes)
    : Span(enabled() ? thread_track() : 0, category, name, detail, bytes) {}

Span::Span(Track track, Category category, std::string_view name, std::string_view detail, double bytes)
    : recording_(enabled()) {
  if (!recording_) return;
  event_ = {
      .category = category, .track = track, .value = bytes, .name = std::string(name), .detail = std::string(detail)};
  event_.begin = now();
}

Span::~Span() {
  if (!recording_ || !enabled()) return;
  event_.duration = now() - event_.begin;
  try {
    record(std::move(event_));
  } catch (...) {  // no memory for an event: it is not worth the work that it tells of
  }
}

std::int64_t clock() { return now(); }

void span(Track track, Category category, std::string_view name, std::int64_t begin, std::int64_t end, double bytes) {
  if (!enabled()) return;
  record({.counter = false,
          .category = category,
          .track = track,
          .begin = begin,
          .duration = end - begin,
          .value = bytes,
          .name = std::string(name),
          .detail = {}});
}

void counter(std::string_view group, std::string_view series, double value) {
  if (!enabled()) return;
  record({.counter = true, .begin = now(), .value = value, .name = std::string(group), .detail = std::string(series)});
}

Recording stop() {
  on = false;
  const std::lock_guard lock(recorder().mutex);
  Recording out{.tracks = recorder().tracks, .events = {}};
  for (const auto& buffer : recorder().buffers) {
    buffer->for_each([&](const Event& event) {
      if (event.begin < started) return;  // of a span that began in an earlier recording
      out.events.push_back(event);
      out.events.back().begin -= started;
    });
  }
  std::ranges::stable_sort(out.events, {}, &Event::begin);
  return out;
}

void write(const std::filesystem::path& path, const Recording& recording) {
  AtomicFile file(path);
  const auto append = [&](const std::string& text) { file.append(std::as_bytes(std::span(text))); };
  append("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
  std::string lines;
  for (std::size_t t = 0; t < recording.tracks.size(); ++t) {
    lines += fmt::format(R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":{}}}}},)", t,
                         json_text(recording.tracks[t])) +
             "\n";
  }
  for (const Event& event : recording.events) {
    lines += json_of(event) + ",\n";
    if (lines.size() > (1U << 20)) append(std::exchange(lines, {}));
  }
  append(lines + R"({"ph":"M","pid":1,"name":"process_name","args":{"name":"hearth"}}]})" + "\n");
  file.commit();
}

}  // namespace hearth::trace
