#pragma once

#include "core/presence.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/device/v1/device_event.pb.h>

/// Events as their senders make them.
namespace sluice::registry::testing {

inline device::v1::DeviceEvent device_event(std::string_view tenant, std::string_view device,
                                            std::int64_t at_ms) {
  device::v1::DeviceEvent event;
  event.set_tenant(std::string(tenant));
  event.set_device(std::string(device));
  event.set_at_ms(at_ms);
  return event;
}

inline device::v1::DeviceEvent session_opened(std::string_view tenant, std::string_view device,
                                              std::uint64_t epoch, std::int64_t at_ms) {
  device::v1::DeviceEvent event = device_event(tenant, device, at_ms);
  device::v1::SessionOpened& opened = *event.mutable_session_opened();
  opened.set_session_epoch(epoch);
  opened.set_credential_id("credential-1");
  opened.set_protocol("mqtt/5");
  opened.set_address("192.0.2.7");
  opened.set_front("front-1");
  return event;
}

inline device::v1::DeviceEvent session_closed(std::string_view tenant, std::string_view device,
                                              std::uint64_t epoch, std::int64_t at_ms,
                                              std::string_view reason = "client_disconnect") {
  device::v1::DeviceEvent event = device_event(tenant, device, at_ms);
  event.mutable_session_closed()->set_session_epoch(epoch);
  event.mutable_session_closed()->set_reason(std::string(reason));
  return event;
}

inline device::v1::DeviceEvent device_seen(std::string_view tenant, std::string_view device,
                                           std::int64_t at_ms) {
  device::v1::DeviceEvent event = device_event(tenant, device, at_ms);
  event.mutable_device_seen()->set_protocol("http");
  return event;
}

inline device::v1::DeviceEvent certificate_issued(std::string_view tenant, std::string_view device,
                                                  std::int64_t at_ms) {
  device::v1::DeviceEvent event = device_event(tenant, device, at_ms);
  event.mutable_certificate_issued()->set_serial("1f");
  return event;
}

inline std::string key_of(const device::v1::DeviceEvent& event) {
  return event.tenant() + "/" + event.device();
}

}  // namespace sluice::registry::testing
