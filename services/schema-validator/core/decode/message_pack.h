#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstddef>
#include <optional>
#include <span>

namespace sluice::validator {

/// Reads one MessagePack value into `sink`. Keys must be texts. A timestamp (extension -1) is told
/// as seconds since the epoch; any other extension is refused by its number.
std::optional<Rejection> decode_message_pack(std::span<const std::byte> payload,
                                             const PayloadLimits& limits, PayloadSink& sink);

}  // namespace sluice::validator
