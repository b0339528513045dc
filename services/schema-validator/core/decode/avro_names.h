#pragma once

#include "core/decode/avro_schema.h"

#include <cstdint>
#include <optional>
#include <string_view>

/// What Avro's specification says about names, and the sum that a schema is known by.
namespace sluice::validator {

std::optional<AvroSchema::Kind> avro_primitive_of(std::string_view name);
/// Letters, digits and _, no digit in front.
bool is_avro_name(std::string_view name);
/// Such names with dots in between.
bool is_dotted_avro_name(std::string_view name);

/// Avro's own hash of 64 bits ("Schema Fingerprints").
std::uint64_t crc_64_avro(std::string_view text);

}  // namespace sluice::validator
