#include <sluice/mqtt/packet.h>

#include "wire.h"

namespace sluice::mqtt {

// The views were checked when they were made, so that nothing here can fail on input.

bool UserProperties::next(std::span<const std::byte>& rest, Entry& entry) {
  wire::Reader in(rest);
  while (!in.at_end()) {
    const std::uint8_t identifier = in.u8();
    if (identifier == static_cast<std::uint8_t>(wire::Property::kUserProperty)) {
      entry.first = in.text();
      entry.second = in.text();
      rest = in.rest();
      return in.ok();
    }
    wire::skip_value(in, wire::type_of(identifier));
  }
  return false;
}

bool SubscriptionIds::next(std::span<const std::byte>& rest, std::uint32_t& id) {
  wire::Reader in(rest);
  while (!in.at_end()) {
    const std::uint8_t identifier = in.u8();
    if (identifier == static_cast<std::uint8_t>(wire::Property::kSubscriptionIdentifier)) {
      id = in.varint();
      rest = in.rest();
      return in.ok();
    }
    wire::skip_value(in, wire::type_of(identifier));
  }
  return false;
}

bool FilterList::next(std::span<const std::byte>& rest, Subscription& subscription) const {
  wire::Reader in(rest);
  if (in.at_end()) return false;
  subscription = {.filter = in.text()};
  if (has_options_) {
    const unsigned options = in.u8();
    subscription.qos = static_cast<Qos>(options & 0x03);
    if (version_ == Version::kV5) {
      subscription.no_local = (options & 0x04) != 0;
      subscription.retain_as_published = (options & 0x08) != 0;
      subscription.retain_handling = static_cast<RetainHandling>(options >> 4 & 0x03);
    }
  }
  rest = in.rest();
  return in.ok();
}

}  // namespace sluice::mqtt
