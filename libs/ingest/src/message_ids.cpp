#include <sluice/ingest/message_ids.h>

#include <algorithm>
#include <cstring>

namespace sluice::ingest {

MessageIds::Id MessageIds::next(WallTime now) {
  const std::int64_t now_ms = now.time_since_epoch().count();
  if (now_ms > last_ms_ || counter_ + 1 == 1U << 12) {
    last_ms_ = std::max(now_ms, last_ms_ + 1);
    counter_ = 0;
    random_bits_ = random_.next();
  } else {
    ++counter_;
  }
  Id id;
  const auto time = static_cast<std::uint64_t>(last_ms_);
  for (unsigned i = 0; i < 6; ++i) id[i] = static_cast<std::uint8_t>(time >> (40 - 8 * i));
  id[6] = static_cast<std::uint8_t>(0x70 | (counter_ >> 8));  // version 7
  id[7] = static_cast<std::uint8_t>(counter_);
  std::memcpy(id.data() + 8, &random_bits_, sizeof random_bits_);
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3F) | 0x80);  // RFC 9562's variant
  return id;
}

}  // namespace sluice::ingest
