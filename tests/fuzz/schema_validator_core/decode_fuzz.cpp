// Every decoder: whatever comes, it ends with a value that keeps the sink's rules or with a reason,
// and the bounds hold.

#include "../fuzz.h"
#include "core/decode/avro_decoder.h"
#include "core/decode/cbor.h"
#include "core/decode/decompress.h"
#include "core/decode/message_pack.h"
#include "core/decode/protobuf_decoder.h"
#include "core/decode/senml_sink.h"
#include "testing/recording_sink.h"

#include <array>
#include <vector>

namespace sluice::validator {
namespace {

constexpr PayloadLimits kLimits{
    .max_bytes = 64 * 1024, .max_depth = 8, .max_values = 500, .max_text = 200};

constexpr std::string_view kAvro = R"({"type":"record","name":"T","fields":[
  {"name":"ts","type":"long"},{"name":"next","type":["null","T"]},
  {"name":"m","type":{"type":"map","values":["null","double",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]}},
  {"name":"n","type":{"type":"array","items":"null"}},
  {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
  {"name":"f","type":{"type":"fixed","name":"F","size":3}},
  {"name":"o","type":["null","string","int","boolean","float"]}]})";

void check(const std::optional<Rejection>& rejection, const RecordingSink& sink) {
  if (rejection) {
    SLUICE_CHECK(!rejection->detail.empty() && rejection->reason != RejectReason::kInternal);
  } else {
    SLUICE_CHECK(sink.is_complete());
  }
  SLUICE_CHECK(sink.deepest() <= kLimits.max_depth + 2);
  SLUICE_CHECK(sink.calls() <= 5 * kLimits.max_values + 10);
}

}  // namespace
}  // namespace sluice::validator

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::validator;
  static const auto avro = AvroSchema::compile(kAvro).value();
  static std::string scratch;
  static SenmlSink senml;
  static Decompressor decompressor;
  if (size == 0) return 0;
  const auto payload = sluice::fuzz::as_bytes(data + 1, size - 1);
  RecordingSink sink;
  switch (data[0] % 5) {
    case 0:
      check(decode_message_pack(payload, kLimits, sink), sink);
      break;
    case 1:
      check(decode_cbor(payload, kLimits, sink, scratch), sink);
      break;
    case 2:
      check(decode_avro(payload, *avro, AvroFraming::kDetect, kLimits, sink), sink);
      break;
    case 3: {
      senml.begin(1'800'000'000'000, SenmlNames::kFull, kLimits);
      if (decode_message_pack(payload, kLimits, senml)) break;
      if (const auto rejection = senml.finish(sink)) check(rejection, sink);
      break;
    }
    default: {
      const auto result = decompressor.decompress(data[0] % 2 == 0 ? "gzip" : "zstd", payload,
                                                  {.max_bytes = kLimits.max_bytes});
      SLUICE_CHECK(!result || result->size() <= kLimits.max_bytes);
    }
  }
  return 0;
}
