#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::http {

/// Takes the chunked coding (RFC 9112, section 7.1) off a body, strictly: chunk extensions and
/// trailers, which nobody sends and which proxies read in different ways, are refused like any
/// other surprise.
class ChunkedDecoder {
 public:
  using Piece = std::function<Result<>(std::string_view)>;

  /// Gives decoded bytes to `piece` and returns how much of `in` was used: all of it, or less once
  /// the body has ended. Malformed coding is kInvalidArgument with reason "malformed_request".
  Result<std::size_t> feed(std::string_view in, const Piece& piece);

  bool is_done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kSizeLf, kData, kDataCr, kDataLf, kEndCr, kEndLf, kDone };

  Result<> step(char c);

  State state_ = State::kSize;
  std::uint64_t left_ = 0;  // of the chunk
  int digits_ = 0;
};

}  // namespace sluice::http
