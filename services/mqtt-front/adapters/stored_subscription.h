#pragma once

#include "ports.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

/// Subscriptions as the record of a session holds them, see stored_message.h.
namespace sluice::front {

/// What names a subscription within its session: the group and the filter.
std::string subscription_name(std::string_view group, std::string_view filter);
/// An entry of the list: a little-endian u16 with the size of the name, the name, and the options
/// of fixed size; so plain that Redis' Lua can splice it.
std::string encode_subscription(const StoredSubscription& subscription);
std::size_t subscription_record_size(std::size_t name_size);
Result<std::vector<StoredSubscription>> decode_subscriptions(std::string_view list);

}  // namespace sluice::front
