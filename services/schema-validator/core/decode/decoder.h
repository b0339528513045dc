#pragma once

#include "core/decode/avro_schema.h"
#include "core/decode/format.h"
#include "core/decode/protobuf_schema.h"
#include "core/decode/senml_sink.h"
#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace sluice::validator {

/// What a payload needs beside its bytes to be understood.
struct DecodeContext {
  PayloadLimits limits{};
  std::int64_t received_at_ms = 0;  // what SenML's relative times count from
  SenmlNames senml_names = SenmlNames::kFull;
  AvroFraming avro_framing = AvroFraming::kDetect;
  const AvroSchema* avro = nullptr;          // for Format::kAvro
  const ProtobufSchema* protobuf = nullptr;  // for Format::kProtobuf
};

/// Reads a payload in any format into a sink. Keeps scratch room from message to message, so that
/// nothing is allocated once it is warm. Owned by one thread.
///
/// JSON is read here as well, through the virtual calls of PayloadSink; the hot path calls
/// decode_json() with its Extractor instead.
class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Tells `payload` to `sink`. The rejection is what only a decoder can know; nullopt means that
  /// the whole payload was told, or that the sink wanted no more and knows why. JSON formats want
  /// kPayloadPadding readable bytes behind the payload.
  std::optional<Rejection> decode(Format format, std::span<const std::byte> payload,
                                  const DecodeContext& context, PayloadSink& sink);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace sluice::validator
