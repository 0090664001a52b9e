#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "base/block_cache.h"

namespace hearth {

/// Allocates `bytes` aligned to 64 bytes, large ones to a page and with transparent huge pages asked for. Never returns
/// null: throws Error(kResource) with the size, also where set_chunk_limit() (base/block_cache.h) allows no more. Every
/// large allocation of Hearth goes through here.
void* allocate_aligned(std::size_t bytes, BlockPlace place = BlockPlace::kLow);
/// Large, free memory of base/block_cache.h; false if it is not free.
bool allocate_at(void* pointer, std::size_t bytes);
void free_aligned(void* pointer, std::size_t bytes) noexcept;

/// Bytes now held through allocate_aligned, and the most ever held. Thread safe.
std::size_t allocated_bytes();
std::size_t peak_allocated_bytes();

/// Owning array of a trivial type, aligned for vector loads. Contents start uninitialised unless asked. Move-only; copy
/// with clone(). Not thread safe beyond what T's elements allow.
template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(std::size_t size, BlockPlace place = BlockPlace::kLow)
      : data_(size ? static_cast<T*>(allocate_aligned(size * sizeof(T), place)) : nullptr), size_(size) {}
  /// Where a large one was before; empty if that is not free.
  static Buffer at(T* data, std::size_t size) {
    Buffer out;
    if (!allocate_at(data, size * sizeof(T))) return out;
    out.data_ = data;
    out.size_ = size;
    return out;
  }
  static Buffer zeros(std::size_t size) {
    Buffer out(size);
    out.clear();
    return out;
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_) free_aligned(data_, size_ * sizeof(T));
  }

  /// Cuts off what follows the first `size` elements. Both parts must be large and whole pages.
  Buffer split(std::size_t size) {
    Buffer rest;
    rest.data_ = data_ + size;
    rest.size_ = size_ - size;
    size_ = size;
    return rest;
  }

  Buffer clone() const {
    Buffer out(size_);
    if (out.data_) std::memcpy(out.data_, data_, size_ * sizeof(T));
    return out;
  }
  void clear() {
    if (size_) std::memset(static_cast<void*>(data_), 0, size_ * sizeof(T));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace hearth
