#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::http {

/// Reads the body of a streamed request piece by piece, so that it is never in memory as a whole.
/// Reading slower than the sender sends holds the sender back. Belongs to the request's thread.
class BodyReader {
 public:
  /// Gets a piece, valid during the call; an error ends the reading and is what read() returns.
  using Piece = std::function<Result<>(std::string_view)>;

  virtual ~BodyReader() = default;

  /// Calls `piece` until the body has ended. Errors besides the piece's own: kInvalidArgument with
  /// reason "body_too_large", kDeadlineExceeded with "request_timeout", kCancelled when the peer
  /// left. Called once.
  virtual Result<> read(const Piece& piece) = 0;

  /// What Content-Length promises; nullopt with chunked coding.
  virtual std::optional<std::uint64_t> size() const = 0;
};

/// Calls `line` for each line of the body ("\n" or "\r\n" ends one, the last may lack it; empty
/// lines are passed over), with its number from 1: for newline-delimited JSON. A line longer than
/// `max_line` bytes is an error naming its number.
Result<> read_lines(
    BodyReader& body, std::size_t max_line,
    const std::function<Result<>(std::string_view line, std::uint64_t number)>& line);

}  // namespace sluice::http
