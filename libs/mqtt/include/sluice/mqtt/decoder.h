#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::mqtt {

/// Why bytes are not a packet. `what` is static text that names the clause broken.
struct DecodeError {
  ReasonCode reason = ReasonCode::kMalformedPacket;
  std::string_view what;
};

template <typename T>
using Decoded = std::expected<T, DecodeError>;

/// One packet as it came: its type, the flags of its first byte, and what follows the fixed header.
struct Frame {
  PacketType type{};
  std::uint8_t flags = 0;
  std::span<const std::byte> body;
  std::size_t size = 0;  // of the whole packet, fixed header included
};

/// The packet at the front of `bytes`; nullopt: it is not complete yet. A packet that says it is
/// larger than `max_size` is refused as soon as its length is known, before a byte of it is waited
/// for.
Decoded<std::optional<Frame>> next_frame(std::span<const std::byte> bytes, std::uint32_t max_size);

// Each takes a frame of its type. What comes back points into the frame's bytes.

/// The version is the packet's own. An unknown one is refused with kUnsupportedProtocolVersion.
Decoded<Connect> decode_connect(const Frame& frame);
Decoded<Connack> decode_connack(const Frame& frame, Version version);
Decoded<Publish> decode_publish(const Frame& frame, Version version);
/// PUBACK, PUBREC, PUBREL, PUBCOMP.
Decoded<Ack> decode_ack(const Frame& frame, Version version);
Decoded<Subscribe> decode_subscribe(const Frame& frame, Version version);
Decoded<Unsubscribe> decode_unsubscribe(const Frame& frame, Version version);
/// SUBACK, UNSUBACK. An UNSUBACK before MQTT 5 has no reasons.
Decoded<FilterAck> decode_filter_ack(const Frame& frame, Version version);
Decoded<Disconnect> decode_disconnect(const Frame& frame, Version version);
Decoded<Auth> decode_auth(const Frame& frame);
/// PINGREQ, PINGRESP.
Decoded<void> decode_empty(const Frame& frame);

}  // namespace sluice::mqtt
