#include "adapters/stored_subscription.h"

#include "adapters/stored_record.h"

#include <cstdint>

namespace sluice::front {
namespace {

// Bits of a subscription's options beside the QoS.
constexpr std::uint8_t kNoLocal = 0x04;
constexpr std::uint8_t kRetainAsPublished = 0x08;
constexpr std::uint8_t kWide = 0x10;
constexpr std::size_t kOptionsSize = 5;

std::string encode_options(const StoredSubscription& subscription) {
  auto flags = static_cast<std::uint8_t>(subscription.qos);
  if (subscription.no_local) flags |= kNoLocal;
  if (subscription.retain_as_published) flags |= kRetainAsPublished;
  if (subscription.is_wide) flags |= kWide;
  std::string out(1, static_cast<char>(flags));
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>(subscription.subscription_id >> shift & 0xFF));
  }
  return out;
}

}  // namespace

std::string subscription_name(std::string_view group, std::string_view filter) {
  std::string name(group);
  name.push_back('\0');  // in no topic and no group, [MQTT-1.5.4-2]
  name.append(filter);
  return name;
}

std::string encode_subscription(const StoredSubscription& subscription) {
  const std::string name = subscription_name(subscription.group, subscription.filter);
  std::string out;
  out.reserve(2 + name.size() + kOptionsSize);
  out.push_back(static_cast<char>(name.size() & 0xFF));
  out.push_back(static_cast<char>(name.size() >> 8 & 0xFF));
  out += name;
  out += encode_options(subscription);
  return out;
}

std::size_t subscription_record_size(std::size_t name_size) { return 2 + name_size + kOptionsSize; }

Result<std::vector<StoredSubscription>> decode_subscriptions(std::string_view list) {
  std::vector<StoredSubscription> subscriptions;
  RecordReader in(list);
  while (in.left() > 0) {
    const unsigned low = in.byte();
    const std::size_t name_size = low | static_cast<unsigned>(in.byte()) << 8;
    if (!in.is_good() || in.left() < name_size + kOptionsSize)
      return fail(damaged_record("subscription"));
    std::string name;
    name.reserve(name_size);
    for (std::size_t i = 0; i < name_size; ++i) name.push_back(static_cast<char>(in.byte()));
    const std::size_t end_of_group = name.find('\0');
    const std::uint8_t flags = in.byte();
    const auto qos = to_qos(flags & kStoredQosMask);
    if (end_of_group == std::string::npos || !qos) return fail(damaged_record("subscription"));
    StoredSubscription& subscription = subscriptions.emplace_back();
    subscription.group = name.substr(0, end_of_group);
    subscription.filter = name.substr(end_of_group + 1);
    subscription.qos = *qos;
    subscription.no_local = (flags & kNoLocal) != 0;
    subscription.retain_as_published = (flags & kRetainAsPublished) != 0;
    subscription.is_wide = (flags & kWide) != 0;
    for (unsigned shift = 0; shift < 32; shift += 8) {
      subscription.subscription_id |= std::uint32_t{in.byte()} << shift;
    }
  }
  return subscriptions;
}

}  // namespace sluice::front
