#include "adapters/redis_session_record.h"

#include <cstddef>

namespace sluice::front {
namespace {

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    number = number << 8 | static_cast<std::uint8_t>(bytes[i - 1]);
  }
  return number;
}

}  // namespace

std::optional<SessionRecord> SessionRecord::parse(std::string_view bytes) {
  constexpr std::size_t kHeaderSize = 23;
  if (bytes.size() < kHeaderSize) return std::nullopt;
  const auto owner_size = static_cast<std::uint8_t>(bytes[kHeaderSize - 1]);
  if (bytes.size() < kHeaderSize + owner_size) return std::nullopt;
  SessionRecord record;
  record.is_incomplete = (bytes[1] & 1) != 0;
  record.epoch = Epoch(little_endian(bytes.substr(2, 8)));
  record.expiry_seconds = static_cast<std::uint32_t>(little_endian(bytes.substr(18, 4)));
  record.owner = bytes.substr(kHeaderSize, owner_size);
  record.subscriptions = bytes.substr(kHeaderSize + owner_size);
  return record;
}

}  // namespace sluice::front
