#include "socket_body.h"

#include <algorithm>
#include <array>
#include <format>

#include <sluice/base/check.h>
#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

// As much as one TLS record has.
constexpr std::size_t kPieceSize = 16 * 1024;

Error too_large(std::uint64_t limit) {
  return Error(ErrorCode::kInvalidArgument, std::format("the body is larger than {} bytes", limit))
      .with_reason(std::string(reason::kBodyTooLarge));
}

}  // namespace

SocketBody::SocketBody(Connection& connection, const Framing& framing, bool expects_continue,
                       Limits limits, const Clock& clock, Counter received)
    : connection_(connection),
      framing_(framing),
      expects_continue_(expects_continue),
      limits_(limits),
      clock_(clock),
      received_(received),
      is_complete_(!framing.has_body()) {}

Result<> SocketBody::read(const Piece& piece) {
  SLUICE_CHECK(!is_begun_);
  is_begun_ = true;
  if (is_complete_) return {};
  if (framing_.content_length.value_or(0) > limits_.max_size)
    return fail(too_large(limits_.max_size));
  deadline_ = clock_.mono() + limits_.total_timeout;
  // Bytes that are already here show that the sender did not wait to be asked.
  if (expects_continue_ && connection_.buffer.empty()) {
    if (!connection_.transport.write_all("HTTP/1.1 100 Continue\r\n\r\n", clock_,
                                         limits_.io_timeout, deadline_)) {
      is_broken_ = true;
      return fail(ErrorCode::kCancelled, "the peer left before its body was read");
    }
  }
  SLUICE_TRY(framing_.is_chunked ? read_chunked(piece) : read_plain(piece));
  is_complete_ = true;
  return {};
}

Result<> SocketBody::deliver(std::string_view piece, const Piece& to) {
  delivered_ += piece.size();
  received_.add(piece.size());
  if (delivered_ > limits_.max_size) return fail(too_large(limits_.max_size));
  return to(piece);
}

Result<std::size_t> SocketBody::read_socket(std::span<char> out) {
  const MonoTime now = clock_.mono();
  const auto timed_out = [] {
    return fail(Error(ErrorCode::kDeadlineExceeded, "the body did not come in time")
                    .with_reason(std::string(reason::kRequestTimeout)));
  };
  // A sender that is always in time for one more byte must not go on for ever.
  if (now >= deadline_) return timed_out();
  auto count =
      connection_.transport.read_some(out, clock_, std::min(deadline_, now + limits_.io_timeout));
  if (!count && count.error().code() == ErrorCode::kDeadlineExceeded) return timed_out();
  if (!count || *count == 0) {
    is_broken_ = true;
    return fail(ErrorCode::kCancelled, "the peer left before its body was read");
  }
  return count;
}

Result<> SocketBody::read_plain(const Piece& piece) {
  std::uint64_t left = *framing_.content_length;
  const auto ahead =
      static_cast<std::size_t>(std::min<std::uint64_t>(left, connection_.buffer.size()));
  if (ahead > 0) {
    const std::string held = connection_.buffer.substr(0, ahead);
    connection_.buffer.erase(0, ahead);
    left -= ahead;
    SLUICE_TRY(deliver(held, piece));
  }
  std::array<char, kPieceSize> bytes;
  while (left > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size()));
    SLUICE_TRY_ASSIGN(const std::size_t count, read_socket(std::span(bytes).first(wanted)));
    left -= count;
    SLUICE_TRY(deliver({bytes.data(), count}, piece));
  }
  return {};
}

Result<> SocketBody::read_chunked(const Piece& piece) {
  ChunkedDecoder decoder;
  const auto to = [&](std::string_view decoded) { return deliver(decoded, piece); };
  std::string held = std::exchange(connection_.buffer, {});
  SLUICE_TRY_ASSIGN(std::size_t used, decoder.feed(held, to));
  if (decoder.is_done()) {
    connection_.buffer = held.substr(used);
    return {};
  }
  std::array<char, kPieceSize> bytes;
  while (true) {
    SLUICE_TRY_ASSIGN(const std::size_t count, read_socket(bytes));
    const std::string_view read(bytes.data(), count);
    SLUICE_TRY_ASSIGN(used, decoder.feed(read, to));
    if (decoder.is_done()) {
      connection_.buffer = read.substr(used);
      return {};
    }
  }
}

}  // namespace sluice::http
