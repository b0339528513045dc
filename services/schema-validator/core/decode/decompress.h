#pragma once

#include "core/payload/rejection.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string_view>

namespace sluice::validator {

struct DecompressLimits {
  std::size_t max_bytes = 1024 * 1024;  // of the result; PayloadLimits::max_bytes
  /// Result by input, for results above kFreeBytes. Telemetry compresses to a tenth, seldom to a
  /// hundredth; a bomb goes beyond a thousandth.
  std::size_t max_ratio = 200;
};

/// Undoes a content encoding into a buffer of its own, which grows to what the largest payload so
/// far needed, never past max_bytes; so do the contexts of zlib and zstd, made at their first use.
/// Owned by one thread. What decompress() gives lives until the next call.
class Decompressor {
 public:
  /// A result up to this size is never a bomb, whatever its ratio: a short run of zeros is none.
  static constexpr std::size_t kFreeBytes = 64 * 1024;
  /// zstd windows up to 2^23 bytes, what `zstd -19` uses: memory that a frame may ask for.
  static constexpr int kMaxZstdWindowLog = 23;

  Decompressor();
  ~Decompressor();
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  /// `encoding` is RawMessage.content_encoding: "gzip" (one member or several) or "zstd" (one frame
  /// or several); anything else is kUnsupportedEncoding, the empty one included: ask only where
  /// there is one. Truncated and damaged input is kDecompressionFailed, too much output
  /// kPayloadTooLarge.
  std::expected<std::span<const std::byte>, Rejection> decompress(std::string_view encoding,
                                                                  std::span<const std::byte> input,
                                                                  const DecompressLimits& limits);

  /// Bytes held by the buffer.
  std::size_t capacity() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::validator
