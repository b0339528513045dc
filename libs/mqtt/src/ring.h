#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/prefetch.h>

namespace sluice::mqtt {

/// A queue that takes no memory until something is in it, doubles, and keeps what it has. Not
/// std::deque, which allocates more than half a KiB when it is still empty.
template <typename T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  T& operator[](std::size_t index) { return slots_[slot(index)]; }
  const T& operator[](std::size_t index) const { return slots_[slot(index)]; }
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == capacity_) grow();
    ++size_;
    back() = std::move(value);
  }

  void pop_front() {
    SLUICE_CHECK(size_ > 0);
    front() = T{};
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
  }

  /// Moves what is before it, not what is behind: what ends early is near the front.
  void erase(std::size_t index) {
    SLUICE_CHECK(index < size_);
    for (; index > 0; --index) (*this)[index] = std::move((*this)[index - 1]);
    pop_front();
  }

  void insert(std::size_t index, T value) {
    push_back(std::move(value));
    for (std::size_t at = size_ - 1; at > index; --at) std::swap((*this)[at], (*this)[at - 1]);
  }

  /// The element at the front, or near it.
  void prefetch() const { sluice::prefetch(slots_.get() + head_, sizeof(T)); }

  /// Only while empty.
  void release_memory() {
    SLUICE_CHECK(size_ == 0);
    slots_.reset();
    capacity_ = head_ = 0;
  }

 private:
  std::size_t slot(std::size_t index) const { return (head_ + index) & (capacity_ - 1); }

  void grow() {
    const std::uint32_t capacity = std::max<std::uint32_t>(4, capacity_ * 2);  // a power of two
    auto slots = std::make_unique<T[]>(capacity);
    for (std::size_t i = 0; i < size_; ++i) slots[i] = std::move((*this)[i]);
    slots_ = std::move(slots);
    capacity_ = capacity;
    head_ = 0;
  }

  std::unique_ptr<T[]> slots_;
  std::uint32_t capacity_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace sluice::mqtt
