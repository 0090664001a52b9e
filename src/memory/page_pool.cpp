#include "memory/page_pool.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hearth::memory {

PagePool::PagePool(std::uint32_t pages) {
  if (pages > 0) add(0, pages);
}

void PagePool::add(std::uint32_t begin, std::uint32_t length) {
  runs_.emplace(begin, length);
  by_size_.emplace(length, begin);
  free_ += length;
}

void PagePool::remove(std::uint32_t begin, std::uint32_t length) {
  runs_.erase(begin);
  by_size_.erase({length, begin});
  free_ -= length;
}

std::vector<std::uint32_t> PagePool::take(std::size_t count) {
  std::vector<std::uint32_t> out;
  while (out.size() < count) {
    const auto wanted = static_cast<std::uint32_t>(count - out.size());
    // The shortest run that is long enough, else the longest.
    auto found = by_size_.lower_bound({wanted, 0});
    if (found == by_size_.end()) found = std::prev(by_size_.end());
    const auto [length, begin] = *found;
    const std::uint32_t taken = std::min(length, wanted);
    remove(begin, length);
    if (length > taken) add(begin + taken, length - taken);
    for (std::uint32_t i = 0; i < taken; ++i) out.push_back(begin + i);
  }
  return out;
}

void PagePool::give_run(std::uint32_t begin, std::uint32_t length) {
  const auto next = runs_.lower_bound(begin);
  if (next != runs_.end() && next->first == begin + length) {
    const std::uint32_t more = next->second;
    remove(begin + length, more);
    length += more;
  }
  const auto after = runs_.lower_bound(begin);
  if (after != runs_.begin()) {
    const auto [first, size] = *std::prev(after);
    if (first + size == begin) {
      remove(first, size);
      begin = first;
      length += size;
    }
  }
  add(begin, length);
}

void PagePool::give(std::span<const std::uint32_t> pages) {
  for (std::size_t i = 0; i < pages.size();) {
    if (pages[i] < closed_) {
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    while (end < pages.size() && pages[end] == pages[end - 1] + 1) ++end;
    give_run(pages[i], static_cast<std::uint32_t>(end - i));
    i = end;
  }
}

void PagePool::close(std::uint32_t pages) {
  closed_ = pages;
  while (!runs_.empty() && runs_.begin()->first < pages) {
    const auto [begin, length] = *runs_.begin();
    remove(begin, length);
    if (begin + length > pages) add(pages, begin + length - pages);
  }
}

void PagePool::open(std::span<const std::uint32_t> held) {
  const std::set<std::uint32_t> taken(held.begin(), held.end());
  for (std::uint32_t page = std::exchange(closed_, 0); page-- > 0;) {
    if (!taken.contains(page)) give_run(page, 1);
  }
}

}  // namespace hearth::memory
