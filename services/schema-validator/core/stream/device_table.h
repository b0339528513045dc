#pragma once

#include "core/stream/event_time.h"
#include "core/stream/outliers.h"
#include "core/stream/sequence_window.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// All that is remembered of one device.
struct DeviceState {
  /// Messages received since then were judged by this very state; before, they may have been judged
  /// elsewhere or forgotten. Nullopt until the first message after it was restored.
  std::optional<std::int64_t> knows_since_ms{};
  /// When it was last heard of, by the times of its messages; nullopt: nobody knows.
  std::optional<std::int64_t> heard_at_ms{};
  ClockEstimate clock{};
  std::unique_ptr<SequenceWindow> window{};  // made by the first message with a sequence
  std::vector<MetricState> metrics{};
};

/// Devices by key, at most `max_devices`; a further one takes the place of the least recently used.
/// Open addressing over indices of entries that never move. Owned by one thread.
class DeviceTable {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = UINT32_MAX;

  struct Entry {
    std::string key{};
    std::uint64_t hash = 0;
    bool is_dirty = false;
    DeviceState state{};
  };

  /// Bytes of an entry's place in the index, which is at most half full and doubles, and in two
  /// lists, which double too.
  static constexpr std::size_t kMostBesideEntry = 4 * 8 + 2 * 2 * 8;

  /// `before_eviction` is told each entry that has to give way.
  explicit DeviceTable(std::size_t max_devices,
                       std::function<void(const Entry&)> before_eviction = {});

  static std::uint64_t hash_of(std::string_view key);

  Index find(std::string_view key, std::uint64_t hash) const;
  /// The device's entry, made where there was none, and now the most recently used. `is_new` says
  /// which.
  Index touch(std::string_view key, std::uint64_t hash, bool& is_new);
  void erase(std::string_view key, std::uint64_t hash);

  /// Dirty entries stand in a queue, by when they became so; one that is evicted leaves it.
  void mark_dirty(Index index);
  void mark_clean(Index index);
  /// The longest silent one; kNone where there is none.
  Index first_used() const { return used_.first(); }
  Index first_dirty() const { return changed_.first(); }
  std::size_t dirty() const { return dirty_; }

  Entry& entry(Index index) { return entries_[index]; }
  const Entry& entry(Index index) const { return entries_[index]; }
  std::size_t size() const { return size_; }
  std::uint64_t evictions() const { return evictions_; }
  /// Looks at every device: for a metric that is asked for now and then.
  std::size_t memory_bytes() const;

 private:
  /// Entries in an order. Beside them, not in them: moving one looks at two neighbours, which lie
  /// anywhere, and eight bytes of each device stay in a cache where whole entries do not.
  class List {
   public:
    void append(Index index);
    void take_out(Index index);
    Index first() const { return first_; }
    Index last() const { return last_; }
    Index after(Index index) const { return links_[index].after; }
    std::size_t memory_bytes() const { return links_.capacity() * sizeof(Links); }

   private:
    struct Links {
      Index before = kNone;
      Index after = kNone;
    };
    std::vector<Links> links_{};
    Index first_ = kNone;
    Index last_ = kNone;
  };
  /// With some of its hash, so that only the device's own entry is looked at.
  struct Cell {
    Index index = kNone;
    std::uint32_t tag = 0;
  };

  static std::uint32_t tag_of(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash >> 32U);
  }
  std::size_t cell_of(Index index) const;
  void remove(Index index);
  void grow();

  std::size_t max_devices_;
  std::function<void(const Entry&)> before_eviction_;
  std::deque<Entry> entries_{};
  std::vector<Index> free_{};
  std::vector<Cell> cells_;  // a power of two, at most half full
  std::size_t size_ = 0;
  std::uint64_t evictions_ = 0;
  std::size_t dirty_ = 0;
  List used_{};     // the least recently used first
  List changed_{};  // the longest dirty first
};

}  // namespace sluice::validator
