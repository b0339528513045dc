#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"
#include "core/schema/extractor.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

namespace sluice::validator {

/// Bytes that must be readable, whatever they are, behind a payload that JsonDecoder reads.
inline constexpr std::size_t kPayloadPadding = 64;

/// Reads JSON (RFC 8259, UTF-8 without a byte order mark, all of the text one value). Keeps its
/// room from message to message. Owned by one thread. Texts that it tells stay valid until its next
/// payload, or the payload itself, goes away.
class JsonDecoder {
 public:
  JsonDecoder();
  ~JsonDecoder();
  JsonDecoder(const JsonDecoder&) = delete;
  JsonDecoder& operator=(const JsonDecoder&) = delete;

  /// Tells `payload` to `extractor`, which may read common shapes by itself. The rejection is what
  /// only a decoder can know; nullopt: all was told, or the extractor wanted no more.
  std::optional<Rejection> decode(std::span<const std::byte> payload, const PayloadLimits& limits,
                                  Extractor& extractor);
  /// The same without that shorter way: what it has to agree with.
  std::optional<Rejection> decode_generally(std::span<const std::byte> payload,
                                            const PayloadLimits& limits, Extractor& extractor);
  /// The same for any sink.
  std::optional<Rejection> decode(std::span<const std::byte> payload, const PayloadLimits& limits,
                                  PayloadSink& sink);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace sluice::validator
