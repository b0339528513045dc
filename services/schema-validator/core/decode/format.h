#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

namespace sluice::validator {

/// What a payload is written in.
enum class Format : std::uint8_t {
  kJson,
  kMessagePack,
  kCbor,
  kSenmlJson,
  kSenmlCbor,
  kAvro,
  kProtobuf,
};

inline constexpr std::size_t kFormats = 7;

/// "json", "senml_cbor" and the like: for logs and metric labels.
std::string_view name_of(Format format);

/// The format of a decompressed payload. A content type that names one is believed; an empty one,
/// or one that says nothing ("application/octet-stream", "text/plain"), leaves it to the schema of
/// the device's class, which for Avro and Protobuf is the only way to read anything, and then to
/// the first byte. Any other content type is refused with kUnknownContentType. `schema_format` is
/// kAvro or kProtobuf where the class's schema is one, else nullopt.
std::expected<Format, Rejection> choose_format(std::string_view content_type,
                                               std::span<const std::byte> payload,
                                               std::optional<Format> schema_format,
                                               const PayloadLimits& limits = {});

}  // namespace sluice::validator
