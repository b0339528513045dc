#pragma once

#include "core/stream/device_state.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace sluice::validator {

/// Devices that do to their sequence numbers and clocks whatever devices do, and never say one
/// thing twice: they restart and count from 0 again, store messages while they are offline and
/// deliver them later, even after a restart, overtake themselves and set their clocks back a
/// little. The same seed gives the same messages.
class Fleet {
 public:
  struct Message {
    std::size_t device = 0;
    std::uint64_t sequence = 0;
    std::int64_t device_time_ms = 0;
    std::int64_t received_at_ms = 0;
    double value = 0;
    bool buffered = false;
  };

  Fleet(std::size_t devices, std::uint64_t seed) : devices_(devices), state_(seed) {
    for (std::size_t i = 0; i < devices; ++i) {
      devices_[i].key = "acme/device-" + std::to_string(i);
      devices_[i].sequence = below(1000);
    }
  }

  const std::string& key(std::size_t device) const { return devices_[device].key; }

  Message next() {
    Device& device = devices_[turn_];
    const std::size_t index = turn_;
    turn_ = (turn_ + 1) % devices_.size();
    if (turn_ == 0) now_ms_ += 10'000;
    if (!device.stored.empty() && device.offline == 0 && below(3) != 0) {
      Message message = device.stored.front();
      device.stored.pop_front();
      message.received_at_ms = now_ms_;
      return message;
    }
    if (device.offline > 0) {
      --device.offline;
      for (;;) {  // offline: all that it would have said by now, then what it says first
        device.stored.push_back(make(index, true));
        if (below(4) == 0 || device.stored.size() > 200) break;
        device.ahead_ms += 10'000;
      }
    } else if (below(500) == 0) {
      device.offline = 1 + below(3);
    }
    if (below(300) == 0) device.sequence = 0;  // restarted
    if (below(1000) == 0)
      device.ahead_ms -= 1 + static_cast<std::int64_t>(below(5000));  // clock set
    if (below(50) == 0) {  // overtaken: delivered with the stored ones, not marked
      device.stored.push_back(make(index, false));
    }
    return make(index, false);
  }

 private:
  struct Device {
    std::string key{};
    std::uint64_t sequence = 0;
    std::int64_t ahead_ms = 0;
    std::int64_t last_ms = 0;
    std::deque<Message> stored{};
    std::uint64_t offline = 0;
  };

  Message make(std::size_t index, bool buffered) {
    Device& device = devices_[index];
    // Never two messages of one number and one time: that is what the device guarantees.
    const std::int64_t time_ms =
        now_ms_ + std::min<std::int64_t>(device.ahead_ms, 200'000) + tick_++ % 1000;
    return {
        .device = index,
        .sequence = device.sequence++,
        .device_time_ms = time_ms,
        .received_at_ms = now_ms_,
        .value = 20.0 + static_cast<double>(below(4)),  // few values: content alone tells nothing
        .buffered = buffered};
  }

  std::uint64_t below(std::uint64_t bound) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return (state_ >> 33U) % bound;
  }

  std::vector<Device> devices_;
  std::uint64_t state_;
  std::size_t turn_ = 0;
  std::int64_t now_ms_ = 1'800'000'000'000;
  std::int64_t tick_ = 0;
};

/// One sample with one reading, as a payload would have given it.
inline void fill(const Fleet::Message& message, Extracted& extracted) {
  extracted.clear();
  extracted.samples.push_back({.device_time_ms = message.device_time_ms,
                               .sequence = message.sequence,
                               .buffered = message.buffered,
                               .first_reading = 0,
                               .reading_count = 1});
  extracted.readings.push_back({.metric = "temp", .number = message.value});
}

}  // namespace sluice::validator
