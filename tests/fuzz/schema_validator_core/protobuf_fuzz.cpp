// A descriptor and a message of it, both from a stranger: the descriptor is refused or compiled,
// and whatever it says, the reader keeps the sink's rules and the bounds.

#include "../fuzz.h"
#include "core/decode/protobuf_decoder.h"
#include "testing/recording_sink.h"

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::validator;
  constexpr PayloadLimits kLimits{.max_depth = 8, .max_values = 500, .max_text = 200};
  if (size < 2) return 0;
  const std::size_t split = std::min<std::size_t>(data[0] + 256U * (data[1] % 16U), size - 2);
  const auto schema = ProtobufSchema::compile(sluice::fuzz::as_text(data + 2, split), "T");
  if (!schema) return 0;
  RecordingSink sink;
  std::vector<ProtobufValue> scratch;
  const auto rejection = decode_protobuf(sluice::fuzz::as_bytes(data + 2 + split, size - 2 - split),
                                         **schema, kLimits, sink, scratch);
  SLUICE_CHECK(rejection || sink.is_complete());
  SLUICE_CHECK(sink.deepest() <= kLimits.max_depth && sink.calls() <= 5 * kLimits.max_values + 10);
  return 0;
}
