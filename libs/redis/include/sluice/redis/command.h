#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace sluice::redis {

/// Number of hash slots of a Redis Cluster, fixed by its protocol.
inline constexpr std::uint16_t kSlotCount = 16384;

/// The slot of a key: CRC-16 of it, or of its hash tag `{…}` where it has one.
std::uint16_t slot_of(std::string_view key);

/// One command in wire form with the slot it belongs to. Words may hold any bytes.
///   Command::on_key(key, {"HSET", key, "epoch", epoch})
class Command {
 public:
  /// A command about `key`: in a Cluster it goes to the node that serves the key's slot. All keys
  /// of one command must share a slot; give them a hash tag, as in "device:{d1}:session".
  static Command on_key(std::string_view key, std::initializer_list<std::string_view> words);
  static Command on_key(std::string_view key, std::span<const std::string_view> words);
  /// A command without a key, such as PING: any node will do.
  static Command anywhere(std::initializer_list<std::string_view> words);

  const std::string& wire() const { return wire_; }
  /// -1 where the command has no key.
  std::int32_t slot() const { return slot_; }

 private:
  Command(std::int32_t slot, std::span<const std::string_view> words);

  std::string wire_;
  std::int32_t slot_;
};

}  // namespace sluice::redis
