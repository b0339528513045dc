#pragma once

#include "core/decode/avro_schema.h"
#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstddef>
#include <optional>
#include <span>

namespace sluice::validator {

/// Reads one Avro body, wrapped as `framing` says, into `sink`. A union is told as its branch, an
/// enum as its symbol, a decimal as a double where its digits fit into 64 bits; other logical types
/// are what they are written as (timestamp-millis is a number of milliseconds).
std::optional<Rejection> decode_avro(std::span<const std::byte> payload, const AvroSchema& schema,
                                     AvroFraming framing, const PayloadLimits& limits,
                                     PayloadSink& sink);

}  // namespace sluice::validator
