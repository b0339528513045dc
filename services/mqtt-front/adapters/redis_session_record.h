#pragma once

#include "ports.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::front {

/// A session's record as the scripts write it: "<BBI8I8I4Bc0" and the subscriptions.
struct SessionRecord {
  bool is_incomplete = false;
  Epoch epoch{};
  std::uint32_t expiry_seconds = 0;
  std::string_view owner{};
  std::string_view subscriptions{};

  static std::optional<SessionRecord> parse(std::string_view bytes);
};

}  // namespace sluice::front
