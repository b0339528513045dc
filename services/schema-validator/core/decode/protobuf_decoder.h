#pragma once

#include "core/decode/protobuf_schema.h"
#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sluice::validator {

/// Where the values of one message's fields lie: fields may come in any order and in pieces, while
/// a sink wants each key once. Scratch, kept from message to message.
struct ProtobufValue {
  std::uint32_t field = 0;
  std::uint32_t order = 0;             // among the values of one message
  std::uint64_t number = 0;            // varint and fixed
  std::span<const std::byte> bytes{};  // length-delimited
  bool is_delimited = false;
};

/// Reads one Protobuf message into `sink`: an object of the fields by their names, in the order of
/// their numbers. Unknown fields are skipped. Of a scalar that stands twice the last one counts; a
/// message that stands twice is refused. Enums are told by name, or by number where they have none.
std::optional<Rejection> decode_protobuf(std::span<const std::byte> payload,
                                         const ProtobufSchema& schema, const PayloadLimits& limits,
                                         PayloadSink& sink, std::vector<ProtobufValue>& scratch);

}  // namespace sluice::validator
