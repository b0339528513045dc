#include "chunked.h"

#include <algorithm>

#include <sluice/base/encoding.h>
#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

// 15 hex digits are more than any body and cannot overflow 64 bits.
constexpr int kMaxDigits = 15;

std::unexpected<Error> malformed() {
  return fail(Error(ErrorCode::kInvalidArgument, "the chunked coding is malformed")
                  .with_reason(std::string(reason::kMalformedRequest)));
}

}  // namespace

Result<> ChunkedDecoder::step(char c) {
  const auto expect = [&](char wanted, State next) -> Result<> {
    if (c != wanted) return malformed();
    state_ = next;
    return {};
  };
  switch (state_) {
    case State::kSize: {
      if (c == '\r' && digits_ > 0) {
        state_ = State::kSizeLf;
        return {};
      }
      const int value = hex_value(c);
      if (value < 0 || ++digits_ > kMaxDigits) return malformed();
      left_ = left_ * 16 + static_cast<std::uint64_t>(value);
      return {};
    }
    case State::kSizeLf:
      digits_ = 0;
      return expect('\n', left_ == 0 ? State::kEndCr : State::kData);
    case State::kDataCr:
      return expect('\r', State::kDataLf);
    case State::kDataLf:
      return expect('\n', State::kSize);
    case State::kEndCr:
      return expect('\r', State::kEndLf);
    case State::kEndLf:
      return expect('\n', State::kDone);
    case State::kData:
    case State::kDone:
      break;
  }
  return malformed();
}

Result<std::size_t> ChunkedDecoder::feed(std::string_view in, const Piece& piece) {
  std::size_t used = 0;
  while (used < in.size() && state_ != State::kDone) {
    if (state_ != State::kData) {
      SLUICE_TRY(step(in[used++]));
      continue;
    }
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - used));
    SLUICE_TRY(piece(in.substr(used, count)));
    used += count;
    left_ -= count;
    if (left_ == 0) state_ = State::kDataCr;
  }
  return used;
}

}  // namespace sluice::http
