#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::mqtt {

/// Things of one kind by 32-bit handles, half the size of pointers. Grows by a chunk at a time and
/// never moves anything: a vector that doubles would hold up a loop while it copies millions.
/// Handle 0 names nothing.
template <typename T>
class Arena {
 public:
  using Handle = std::uint32_t;

  T& operator[](Handle handle) { return chunks_[handle / kChunk][handle % kChunk]; }
  const T& operator[](Handle handle) const { return chunks_[handle / kChunk][handle % kChunk]; }

  Handle acquire() {
    if (!free_.empty()) {
      const Handle handle = free_.back();
      free_.pop_back();
      return handle;
    }
    if (used_ >= chunks_.size() * kChunk) chunks_.push_back(std::make_unique<T[]>(kChunk));
    return used_++;
  }
  void release(Handle handle) {
    (*this)[handle] = T{};
    free_.push_back(handle);
  }
  /// Gives everything back.
  void clear() {
    decltype(chunks_)().swap(chunks_);  // assigning {} would keep the capacity
    decltype(free_)().swap(free_);
    used_ = 1;
  }

  /// Every handle ever given out is below; the free ones hold a T{}.
  Handle end() const { return used_; }
  std::size_t in_use() const { return used_ - 1 - free_.size(); }
  std::size_t memory_bytes() const {
    return chunks_.size() * kChunk * sizeof(T) + chunks_.capacity() * sizeof(chunks_[0]) +
           free_.capacity() * sizeof(Handle);
  }

 private:
  static constexpr Handle kChunk = 256;  // 8 to 20 KB, so that a small index stays small

  std::vector<std::unique_ptr<T[]>> chunks_{};
  std::vector<Handle> free_{};
  Handle used_ = 1;
};

}  // namespace sluice::mqtt
