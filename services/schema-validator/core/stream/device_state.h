#pragma once

#include "core/payload/rejection.h"
#include "core/payload/sample.h"
#include "core/stream/event_time.h"
#include "core/stream/outliers.h"
#include "core/stream/seen_filter.h"
#include "core/stream/sequence_window.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::validator {

struct StreamSettings {
  TimeSettings time{};
  OutlierRules outliers{};            // for messages that bring no rules of their own
  std::size_t max_devices = 100'000;  // of one table; the longest silent one gives way
  std::size_t max_metrics = 64;  // of a device, judged for outliers; further ones pass unjudged
  std::size_t window_size = SequenceWindow::kDefaultSize;  // a power of two, 64 to 4096
};

/// One message as the envelope tells it.
struct MessageContext {
  std::string_view device_key{};  // "tenant/device"
  std::int64_t received_at_ms = 0;
  std::optional<std::uint64_t> sequence{};  // of the envelope; a sample's own goes before it
  bool buffered = false;
  bool is_redrive = false;                 // never taken for a replay
  const OutlierRules* outliers = nullptr;  // in place of the settings'
};

/// What became of one sample.
struct SampleJudgement {
  std::int64_t event_time_ms = 0;
  std::optional<std::int64_t> device_time_ms{};  // only where it was not used
  std::optional<std::uint64_t> sequence{};       // its own, else the envelope's
  QualityBits quality = 0;  // of the sample; outliers are flagged at their readings
  bool buffered = false;
  bool is_replay = false;  // proven: leave it out and count it
};

/// What became of a message. Reused from message to message.
struct Judgement {
  std::vector<SampleJudgement> samples{};               // as in Extracted
  std::optional<Rejection> rejection{};                 // of the whole message: kOutlier
  std::size_t rejected_sample = 0;                      // where there is a rejection
  std::size_t rejected_reading = 0;                     // index into Extracted::readings
  std::array<std::uint32_t, kOutlierKinds> outliers{};  // values found, by kind
  std::uint32_t replays = 0;                            // samples
  std::uint32_t maybe_duplicates = 0;                   // samples
  std::uint32_t unjudged_readings = 0;                  // past max_metrics
  std::optional<std::int64_t> clock_offset_ms{};
};

/// What is remembered of each device: its sequence window, clock offset and metrics. Bounded: a new
/// device beyond max_devices takes the place of the one that has been silent longest; a state that
/// goes that way before it was told is kept aside until it is. Deterministic:
/// the same calls give the same judgements and the same bytes. Owned by one thread; one per
/// partition, so that a partition that goes away takes its devices along.
class DeviceStates {
 public:
  /// `filter` is shared by the tables of a thread and outlives them.
  DeviceStates(const StreamSettings& settings, SeenFilter& filter);
  ~DeviceStates();
  DeviceStates(const DeviceStates&) = delete;
  DeviceStates& operator=(const DeviceStates&) = delete;

  /// Judges the samples in their order, flags outliers in `extracted` and remembers all of it.
  void judge(const MessageContext& given, Extracted& extracted, Judgement& judgement);

  /// The state of one device as bytes; nullopt where it is not known (evicted).
  std::optional<std::string> serialise(std::string_view device_key) const;
  /// Puts a device's state in place; it was last heard of at `heard_at_ms`. kInvalidArgument where
  /// the bytes are none of this version or break a bound; the device is then unknown, as a new one
  /// is.
  Result<> restore(std::string_view device_key, std::string_view bytes,
                   std::optional<std::int64_t> heard_at_ms = {});
  void forget(std::string_view device_key);

  /// Tells key and bytes of up to `max` devices that changed since they were last told, in the
  /// order in which they first changed, and takes them for saved. Returns how many.
  std::size_t drain_dirty(
      std::size_t max, const std::function<void(std::string_view key, std::string_view bytes)>& to);
  std::size_t dirty() const;
  /// Tells the keys of up to `max` devices that gave way to others and whose last state was told
  /// before: nobody will ask for it, and its record is to be deleted, or the changelog would grow
  /// with every device that ever was. Called before drain_dirty(), so that a state that is told now
  /// stands for a while: it says up to where the device's messages had their effect. Returns how
  /// many.
  std::size_t drain_gone(std::size_t max, const std::function<void(std::string_view key)>& to);
  /// Devices that gave way and of which something is still to be told, their states or that they
  /// are gone.
  std::size_t evicted() const;

  /// Forgets up to `max` devices that were last heard of before `since_ms`, and tells their keys:
  /// no message that could be compared with their state is believed any more. Returns how many.
  std::size_t forget_silent(std::int64_t since_ms, std::size_t max,
                            const std::function<void(std::string_view key)>& to);

  std::optional<std::int64_t> clock_offset_ms(std::string_view device_key) const;
  std::size_t size() const;
  std::uint64_t evictions() const;
  /// Bytes held for devices, without the filter: an upper estimate.
  std::size_t memory_bytes() const;
  /// The most one device can hold at these settings.
  static std::size_t max_device_bytes(const StreamSettings& settings);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace sluice::validator
