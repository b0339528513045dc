#include "core/decode/decoder.h"

#include "core/decode/avro_decoder.h"
#include "core/decode/cbor.h"
#include "core/decode/message_pack.h"
#include "core/decode/protobuf_decoder.h"
#include "core/payload/json_decoder.h"

#include <array>
#include <format>
#include <string>
#include <vector>

namespace sluice::validator {
namespace {

/// RFC 8428 section 6, table 4: from -6 on.
std::string_view senml_key(std::int64_t key) {
  constexpr std::array<std::string_view, 15> kNames = {
      "bs", "bv", "bu", "bt", "bn", "bver", "n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"};
  if (key < -6 || key > 8) return {};
  return kNames[static_cast<std::size_t>(key + 6)];
}

Rejection no_schema(std::string_view format) {
  return {.reason = RejectReason::kUnknownSchema,
          .detail = std::format("a payload in {} needs its schema, and the device's class has none",
                                format)};
}

}  // namespace

struct Decoder::Scratch {
  std::optional<Rejection> decode_senml(Format format, std::span<const std::byte> payload,
                                        const DecodeContext& context, PayloadSink& sink) {
    senml.begin(context.received_at_ms, context.senml_names, context.limits);
    auto rejection = format == Format::kSenmlJson
                         ? json.decode(payload, context.limits, senml)
                         : decode_cbor(payload, context.limits, senml, text, senml_key);
    return rejection ? std::move(rejection) : senml.finish(sink);
  }

  JsonDecoder json{};
  SenmlSink senml{};
  std::string text{};
  std::vector<ProtobufValue> values{};
};

Decoder::Decoder() : scratch_(std::make_unique<Scratch>()) {}
Decoder::~Decoder() = default;

std::optional<Rejection> Decoder::decode(Format format, std::span<const std::byte> payload,
                                         const DecodeContext& context, PayloadSink& sink) {
  if (payload.size() > context.limits.max_bytes) {
    return Rejection{.reason = RejectReason::kPayloadTooLarge,
                     .detail = std::format("{} bytes, {} are the limit (max_bytes)", payload.size(),
                                           context.limits.max_bytes)};
  }
  switch (format) {
    case Format::kJson:
      return scratch_->json.decode(payload, context.limits, sink);
    case Format::kMessagePack:
      return decode_message_pack(payload, context.limits, sink);
    case Format::kCbor:
      return decode_cbor(payload, context.limits, sink, scratch_->text);
    case Format::kSenmlJson:
    case Format::kSenmlCbor:
      return scratch_->decode_senml(format, payload, context, sink);
    case Format::kAvro:
      if (context.avro == nullptr) return no_schema("Avro");
      return decode_avro(payload, *context.avro, context.avro_framing, context.limits, sink);
    case Format::kProtobuf:
      if (context.protobuf == nullptr) return no_schema("Protobuf");
      return decode_protobuf(payload, *context.protobuf, context.limits, sink, scratch_->values);
  }
  return Rejection{.reason = RejectReason::kInternal, .detail = "a format without a decoder"};
}

}  // namespace sluice::validator
