#include "base/parallel.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>

namespace hearth {
namespace {

std::mutex mutex;
std::unique_ptr<tbb::global_control> control;
int limit = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));

}  // namespace

void set_threads(int count) {
  const std::lock_guard lock(mutex);
  limit = std::max(1, count);
  control.reset();
  control = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                  static_cast<std::size_t>(limit));
}

int threads() {
  const std::lock_guard lock(mutex);
  return limit;
}

void parallel_for(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& body) {
  if (end <= begin) return;
  if (end - begin == 1) return body(begin);
  tbb::parallel_for(begin, end, [&](std::size_t i) { body(i); });
}

}  // namespace hearth
