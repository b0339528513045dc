#pragma once

#include "core/stream/device_state.h"
#include "core/stream/seen_filter.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sluice/base/result.h>

namespace sluice::validator {

/// All that is remembered of the devices of one partition, with the place in telemetry.raw that
/// each device's state stands at. It goes with the partition from owner to owner by the compacted
/// topic validator.state. Owned by the partition's thread.
///
/// A state is written after the outputs of every message that it includes were acknowledged, so a
/// message at or below a state's place has had its effect already: it is told by was_judged() and
/// left alone. A state may be older than what was committed, after a crash: then a few sequence
/// numbers are missing from its window, which makes a replay of these pass as "maybe a duplicate"
/// and never makes a new message look like an old one.
class PartitionState {
 public:
  /// `filter_capacity` messages with a sequence number a day are told from new ones without
  /// looking into their device's window.
  PartitionState(const StreamSettings& settings, std::size_t filter_capacity)
      : filter_(filter_capacity),
        devices_(settings, filter_),
        silence_ms_(settings.time.max_age_ms + kDayMs) {}

  DeviceStates& devices() { return devices_; }
  const DeviceStates& devices() const { return devices_; }
  const SeenFilter& filter() const { return filter_; }
  void advance(std::int64_t now_ms) { filter_.advance(now_ms); }

  /// Takes a record of validator.state. Of two for one device the one of the higher place holds: an
  /// owner that lost the partition without knowing it may have written the lower one later.
  Result<> restore(std::string_view device_key, std::string_view value);

  /// Whether a restored state includes the message already. The timestamp tells messages of a topic
  /// that was made anew, whose offsets begin again.
  bool was_judged(std::string_view device_key, std::int64_t offset, std::int64_t timestamp_ms);

  /// Notes a message that has been judged.
  void note(std::int64_t offset, std::int64_t timestamp_ms);

  /// Tells up to `max` devices that changed, each with the value of its record. They stand at
  /// place(), the last message that was noted.
  std::size_t drain_dirty(
      std::size_t max,
      const std::function<void(std::string_view key, const std::string& value)>& to);
  std::int64_t place() const { return offset_; }

  /// Tells the keys of up to `max` devices that gave way to others, whose records are to be
  /// deleted: see DeviceStates::drain_gone().
  std::size_t drain_gone(std::size_t max, const std::function<void(std::string_view key)>& to) {
    return devices_.drain_gone(max, to);
  }

  /// Forgets up to `max` devices that nothing was heard of for a day longer than a device's time is
  /// believed, and tells their keys, whose records are to be deleted. By the times of the
  /// partition's own messages: a partition that is far behind forgets nobody too early.
  std::size_t forget_silent(std::size_t max, const std::function<void(std::string_view key)>& to);

 private:
  struct Place {
    std::int64_t offset = -1;
    std::int64_t timestamp_ms = 0;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  static constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;

  SeenFilter filter_;
  DeviceStates devices_;
  const std::int64_t silence_ms_;
  std::unordered_map<std::string, Place, Hash, std::equal_to<>> restored_;
  std::int64_t restored_through_ = -1;  // the furthest place of all
  std::int64_t offset_ = -1;
  std::int64_t timestamp_ms_ = 0;
};

}  // namespace sluice::validator
