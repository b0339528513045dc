#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::validator {

/// The text that a format gives to an integer key; empty where it gives none, which refuses the
/// key.
using CborKeyNames = std::string_view (*)(std::int64_t key);

/// Reads one CBOR data item (RFC 8949) into `sink`, indefinite lengths and half floats included.
/// Tags 2 and 3 (bignum) are read where the number has 64 bits; the content of every other tag
/// counts as if it were not tagged: 0 and 1 (times) are the text or the seconds that they hold.
/// undefined is null; other simple values have no meaning and are refused. Keys must be texts, or
/// integers that `key_names` knows. `scratch` joins the pieces of texts of indefinite length, and
/// keeps its room.
std::optional<Rejection> decode_cbor(std::span<const std::byte> payload,
                                     const PayloadLimits& limits, PayloadSink& sink,
                                     std::string& scratch, CborKeyNames key_names = nullptr);

}  // namespace sluice::validator
