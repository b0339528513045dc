#include "core/decode/format.h"

#include "core/decode/message_pack.h"
#include "core/decode/null_sink.h"

#include <algorithm>
#include <array>
#include <format>
#include <string>
#include <utility>

namespace sluice::validator {
namespace {

constexpr std::array<std::pair<std::string_view, Format>, 20> kMediaTypes = {{
    {"application/json", Format::kJson},
    {"text/json", Format::kJson},
    {"application/msgpack", Format::kMessagePack},
    {"application/x-msgpack", Format::kMessagePack},
    {"application/vnd.msgpack", Format::kMessagePack},
    {"application/cbor", Format::kCbor},
    {"application/senml+json", Format::kSenmlJson},
    {"application/sensml+json", Format::kSenmlJson},
    {"application/senml+cbor", Format::kSenmlCbor},
    {"application/sensml+cbor", Format::kSenmlCbor},
    {"application/avro", Format::kAvro},
    {"application/x-avro-binary", Format::kAvro},
    {"application/vnd.apache.avro+binary", Format::kAvro},
    {"application/vnd.kafka.avro.v2", Format::kAvro},
    {"avro/binary", Format::kAvro},
    {"application/protobuf", Format::kProtobuf},
    {"application/x-protobuf", Format::kProtobuf},
    {"application/vnd.google.protobuf", Format::kProtobuf},
    {"application/x-google-protobuf", Format::kProtobuf},
    {"application/vnd.kafka.protobuf.v2", Format::kProtobuf},
}};

/// What devices send that have nothing to say about it.
constexpr std::array<std::string_view, 4> kUndecided = {
    "", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded"};

constexpr std::size_t kMaxTold = 100;  // bytes of a foreign content type in a rejection

/// The media type alone, in lower case.
std::string media_type_of(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  const std::size_t begin = type.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  type = type.substr(begin, type.find_last_not_of(" \t") - begin + 1);
  std::string lower(type);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

/// Texts begin like texts. MessagePack's containers begin with 0x80 to 0x9F and 0xDC to 0xDF,
/// CBOR's with 0x80 to 0xBF, or with a tag from 0xC0 on. What both can begin with is MessagePack
/// where all of it reads as that: a CBOR array hardly ever does.
Format sniff(std::span<const std::byte> payload, const PayloadLimits& limits) {
  const auto first = payload.empty() ? 0U : std::to_integer<unsigned>(payload.front());
  if (first >= 0xDC && first <= 0xDF) return Format::kMessagePack;
  if (first >= 0x80 && first <= 0x9F) {
    NullSink nowhere;
    return decode_message_pack(payload, limits, nowhere) ? Format::kCbor : Format::kMessagePack;
  }
  return first >= 0xA0 && first <= 0xDB ? Format::kCbor : Format::kJson;
}

}  // namespace

std::string_view name_of(Format format) {
  switch (format) {
    case Format::kJson:
      return "json";
    case Format::kMessagePack:
      return "message_pack";
    case Format::kCbor:
      return "cbor";
    case Format::kSenmlJson:
      return "senml_json";
    case Format::kSenmlCbor:
      return "senml_cbor";
    case Format::kAvro:
      return "avro";
    case Format::kProtobuf:
      return "protobuf";
  }
  return "unknown";
}

std::expected<Format, Rejection> choose_format(std::string_view content_type,
                                               std::span<const std::byte> payload,
                                               std::optional<Format> schema_format,
                                               const PayloadLimits& limits) {
  const std::string type = media_type_of(content_type);
  if (std::ranges::find(kUndecided, type) != kUndecided.end()) {
    return schema_format ? *schema_format : sniff(payload, limits);
  }
  const auto known =
      std::ranges::find(kMediaTypes, type, &std::pair<std::string_view, Format>::first);
  if (known != kMediaTypes.end()) return known->second;
  if (type.ends_with("+json")) return Format::kJson;
  if (type.ends_with("+cbor")) return Format::kCbor;
  return std::unexpected(
      Rejection{.reason = RejectReason::kUnknownContentType,
                .detail = std::format("content type {} is not read", type.substr(0, kMaxTold))});
}

}  // namespace sluice::validator
