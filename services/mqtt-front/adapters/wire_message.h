#pragma once

#include "adapters/stored_message.h"

#include <cstddef>
#include <limits>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/mqtt/message.h>

namespace sluice::mqtt::v1 {
class Delivery;
class Message;
}  // namespace sluice::mqtt::v1

/// Messages as they travel between services and fronts, see mqtt_front.proto.
namespace sluice::front {

/// What is accepted of a message; the size of a call bounds the rest.
struct WireBounds {
  std::size_t max_payload = std::numeric_limits<std::size_t>::max();
  std::size_t max_user_properties = std::numeric_limits<std::uint32_t>::max();
};

/// A fault for each field that cannot be sent to a device as it is; fields are named below
/// `where`, "message" or "deliveries[3].message". An expiry that is over gives a message that has
/// expired.
Result<mqtt::Message> from_wire(const mqtt::v1::Message& wire, const WireBounds& bounds,
                                const Moment& now, std::string_view where);

/// Whether it can be the key of a session, whoever made it.
bool is_session_key(std::string_view text);

/// One message for one session.
struct Addressed {
  SessionKey key{};
  Parcel parcel{};
};
Result<Addressed> from_wire(const mqtt::v1::Delivery& wire, const Moment& now,
                            std::string_view where);
/// What is left of the message's expiry is counted from `now`.
void to_wire(const SessionKey& key, const Parcel& parcel, const Moment& now,
             mqtt::v1::Delivery& wire);

}  // namespace sluice::front
