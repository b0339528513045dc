#include "core/presence.h"

#include <algorithm>
#include <array>
#include <format>
#include <limits>

#include <sluice/base/ids.h>
#include <sluice/base/uuid.h>
#include <sluice/device/v1/device_event.pb.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;

// The last millisecond of the year 9999: beyond it RFC 3339 has no spelling.
constexpr std::int64_t kLastMs = 253'402'300'799'999;
// Names of fronts, reasons, protocols, addresses and ids of credentials; all are shorter.
constexpr std::size_t kMaxText = 64;

/// Collects what is wrong with an event.
class Faults {
 public:
  void expect(bool holds, std::string_view field, std::string_view otherwise) {
    if (!holds) faults_.push_back({std::string(field), std::string(otherwise)});
  }
  void expect_text(std::string_view text, std::string_view field) {
    // U+0000 is no character of PostgreSQL's texts.
    expect(text.size() <= kMaxText && !text.contains('\0'), field,
           "is too long, or holds a zero byte");
  }
  void expect_epoch(std::uint64_t epoch, std::string_view field) {
    expect(epoch > 0 && epoch <= std::numeric_limits<std::int64_t>::max(), field,
           "is no number of a session");
  }
  Result<> result() {
    if (faults_.empty()) return {};
    return fail(Error(ErrorCode::kInvalidArgument, "the event makes no sense")
                    .with_faults(std::move(faults_)));
  }

 private:
  std::vector<FieldFault> faults_;
};

DeviceEventKind kind_of(const proto::DeviceEvent& event) {
  switch (event.event_case()) {
    case proto::DeviceEvent::kSessionOpened:
      return DeviceEventKind::kSessionOpened;
    case proto::DeviceEvent::kSessionClosed:
      return DeviceEventKind::kSessionClosed;
    case proto::DeviceEvent::kDeviceSeen:
      return DeviceEventKind::kDeviceSeen;
    case proto::DeviceEvent::kCertificateIssued:
      return DeviceEventKind::kCertificateIssued;
    case proto::DeviceEvent::kCertificateRevoked:
      return DeviceEventKind::kCertificateRevoked;
    case proto::DeviceEvent::EVENT_NOT_SET:
      break;
  }
  return DeviceEventKind::kUnknown;
}

void check_session(const proto::DeviceEvent& event, Faults& faults) {
  if (event.has_session_opened()) {
    const proto::SessionOpened& opened = event.session_opened();
    faults.expect_epoch(opened.session_epoch(), "session_opened.session_epoch");
    faults.expect_text(opened.front(), "session_opened.front");
    faults.expect_text(opened.protocol(), "session_opened.protocol");
    faults.expect_text(opened.credential_id(), "session_opened.credential_id");
    faults.expect_text(opened.address(), "session_opened.address");
  } else if (event.has_session_closed()) {
    faults.expect_epoch(event.session_closed().session_epoch(), "session_closed.session_epoch");
    faults.expect_text(event.session_closed().reason(), "session_closed.reason");
  }
}

std::optional<Presence> presence_of(const proto::DeviceEvent& event, WallTime at) {
  switch (kind_of(event)) {
    case DeviceEventKind::kSessionOpened: {
      const proto::SessionOpened& opened = event.session_opened();
      return Presence{.session_epoch = opened.session_epoch(),
                      .begin = SessionBegin{.at = at,
                                            .front = opened.front(),
                                            .protocol = opened.protocol(),
                                            .credential_id = opened.credential_id(),
                                            .address = opened.address()},
                      .last_seen_at = at};
    }
    case DeviceEventKind::kSessionClosed: {
      const proto::SessionClosed& closed = event.session_closed();
      return Presence{.session_epoch = closed.session_epoch(),
                      .end = SessionEnd{.at = at, .reason = closed.reason()},
                      .last_seen_at = at};
    }
    case DeviceEventKind::kDeviceSeen:
      return Presence{.last_seen_at = at};
    case DeviceEventKind::kCertificateIssued:
      // Whoever asked for the certificate need not have been the device.
      return Presence{.provisioned_at = at};
    case DeviceEventKind::kCertificateRevoked:
    case DeviceEventKind::kUnknown:
      break;
  }
  return std::nullopt;
}

/// The lesser of what both know; what only one knows counts.
template <typename T>
void keep_least(std::optional<T>& known, const std::optional<T>& told) {
  if (told && (!known || *told < *known)) known = told;
}

}  // namespace

std::string_view to_string(DeviceEventKind kind) {
  static constexpr std::array<std::string_view, kDeviceEventKinds> kNames{
      "session_opened",     "session_closed",      "device_seen",
      "certificate_issued", "certificate_revoked", "unknown"};
  return kNames[static_cast<std::size_t>(kind)];
}

void merge(Presence& known, const Presence& told) {
  if (told.session_epoch > known.session_epoch) {
    known.session_epoch = told.session_epoch;
    known.begin = told.begin;
    known.end = told.end;
  } else if (told.session_epoch == known.session_epoch) {
    keep_least(known.begin, told.begin);
    keep_least(known.end, told.end);
  }
  known.last_seen_at = std::max(known.last_seen_at, told.last_seen_at);  // nullopt is the least
  keep_least(known.provisioned_at, told.provisioned_at);
}

void show_presence(const Presence& presence, nlohmann::json& fields) {
  if (presence.last_seen_at) fields["last_seen_at"] = format_rfc3339(*presence.last_seen_at);
  if (presence.provisioned_at) fields["provisioned_at"] = format_rfc3339(*presence.provisioned_at);
  if (presence.session_epoch == 0) return;
  nlohmann::json& connection = fields["connection"];
  connection = {{"connected", presence.is_connected()}, {"session_epoch", presence.session_epoch}};
  const auto add_text = [&](const char* name, const std::string& text) {
    if (!text.empty()) connection[name] = text;
  };
  if (presence.begin) {
    connection["connected_at"] = format_rfc3339(presence.begin->at);
    add_text("front", presence.begin->front);
    add_text("protocol", presence.begin->protocol);
    add_text("credential_id", presence.begin->credential_id);
    add_text("address", presence.begin->address);
  }
  if (presence.end) {
    connection["disconnected_at"] = format_rfc3339(presence.end->at);
    add_text("disconnect_reason", presence.end->reason);
  }
}

Result<DeviceEvent> read_device_event(std::string_view key, std::optional<std::string_view> value) {
  proto::DeviceEvent event;
  if (!value || value->size() > std::numeric_limits<int>::max() ||
      !event.ParseFromArray(value->data(), static_cast<int>(value->size()))) {
    return fail(ErrorCode::kInvalidArgument, "the record holds no event");
  }
  SLUICE_TRY(check_id(event.tenant(), "tenant"));
  Faults faults;
  const auto device = Uuid::parse(event.device());
  faults.expect(device.has_value(), "device", "is no UUID");
  faults.expect(key == std::format("{}/{}", event.tenant(), event.device()), "device",
                "is not the device of the record's key");
  faults.expect(event.at_ms() > 0 && event.at_ms() <= kLastMs, "at_ms",
                "is no time of the years 1970 to 9999");
  check_session(event, faults);
  SLUICE_TRY(faults.result());
  const WallTime at{std::chrono::milliseconds(event.at_ms())};
  // Spelled one way, so that two spellings are not two devices.
  return DeviceEvent{.kind = kind_of(event),
                     .device = {.tenant = event.tenant(), .device = device->to_string()},
                     .told = presence_of(event, at)};
}

void PresenceFold::add(const DeviceEvent& event) {
  if (event.told) merge(changes_[event.device], *event.told);
}

}  // namespace sluice::registry
