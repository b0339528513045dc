#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

#include <nlohmann/json.hpp>

/// What events tell of devices: who is connected, since when, and who was seen when.
///
/// Events come at least once, in any order, and from several fronts about one device. So what is
/// known is never replaced by what comes last; the two are merged, and merging is commutative,
/// associative and idempotent: whatever the order and however often, the end is the same.
namespace sluice::registry {

/// How a session began. Of two beginnings of one session the lesser counts, so that even a sender
/// that contradicts itself is understood alike by everybody.
struct SessionBegin {
  WallTime at{};
  std::string front{};
  std::string protocol{};
  std::string credential_id{};
  std::string address{};

  auto operator<=>(const SessionBegin&) const = default;
};

/// How it ended.
struct SessionEnd {
  WallTime at{};
  std::string reason{};

  auto operator<=>(const SessionEnd&) const = default;
};

/// What one event, or many, tell of one device.
struct Presence {
  /// Of the latest session told of, by its number alone: clocks of fronts differ, and this number
  /// is given by the store of sessions. 0: none was told of.
  std::uint64_t session_epoch = 0;
  std::optional<SessionBegin> begin{};
  std::optional<SessionEnd> end{};
  std::optional<WallTime> last_seen_at{};
  std::optional<WallTime> provisioned_at{};  // when its first certificate was handed out

  auto operator<=>(const Presence&) const = default;
  /// A session whose end is known is over, also where its beginning was not yet told.
  bool is_connected() const { return begin.has_value() && !end.has_value(); }
};

/// Adds to `known` what `told` says beyond it. A session is replaced by a later one alone; times
/// only grow (last_seen_at) or only shrink (provisioned_at).
void merge(Presence& known, const Presence& told);

/// Puts it into the fields of a device as operators see them: "connection", "last_seen_at",
/// "provisioned_at", each only where something is known.
void show_presence(const Presence& presence, nlohmann::json& fields);

/// Whose presence it is. The device is UUID text.
struct DeviceKey {
  std::string tenant{};
  std::string device{};

  auto operator<=>(const DeviceKey&) const = default;
};

enum class DeviceEventKind : std::uint8_t {
  kSessionOpened,
  kSessionClosed,
  kDeviceSeen,
  kCertificateIssued,
  kCertificateRevoked,
  kUnknown,  // a later program's, or what cannot be read
};
inline constexpr std::size_t kDeviceEventKinds = 6;
std::string_view to_string(DeviceEventKind kind);

/// One record of device.events.
struct DeviceEvent {
  DeviceEventKind kind = DeviceEventKind::kUnknown;
  DeviceKey device{};
  /// nullopt: nothing that presence is about.
  std::optional<Presence> told{};
};

/// kInvalidArgument, with a fault for the field, for what makes no sense: key and value of
/// different devices, no session's number, a time before 1970 or after 9999, texts that are too
/// long. A kind that this program does not know is no fault.
Result<DeviceEvent> read_device_event(std::string_view key, std::optional<std::string_view> value);

/// Many events as one change per device: what a batch costs the database depends on its devices,
/// not on how often each came and went.
class PresenceFold {
 public:
  void add(const DeviceEvent& event);

  using Change = std::pair<const DeviceKey, Presence>;
  /// In the order of keys, in which rows are also locked.
  const std::map<DeviceKey, Presence>& changes() const { return changes_; }

 private:
  std::map<DeviceKey, Presence> changes_;
};

}  // namespace sluice::registry
