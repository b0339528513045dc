#pragma once

#include "chunked.h"
#include "connection.h"
#include "head.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include <sluice/base/clock.h>
#include <sluice/http/body_reader.h>
#include <sluice/metrics/metrics.h>

namespace sluice::http {

/// The body of the request at a connection's front. Belongs to the worker that handles the request.
class SocketBody final : public BodyReader {
 public:
  struct Limits {
    std::uint64_t max_size = 0;
    std::chrono::milliseconds io_timeout{0};
    std::chrono::milliseconds total_timeout{0};
  };

  /// With `expects_continue`, the sender is asked to go on when reading begins.
  SocketBody(Connection& connection, const Framing& framing, bool expects_continue, Limits limits,
             const Clock& clock, Counter received);

  Result<> read(const Piece& piece) override;
  std::optional<std::uint64_t> size() const override { return framing_.content_length; }

  /// Whether the next request starts where the connection now stands.
  bool is_complete() const { return is_complete_; }
  /// Whether the peer left, so that no answer can reach it.
  bool is_broken() const { return is_broken_; }

 private:
  Result<> read_plain(const Piece& piece);
  Result<> read_chunked(const Piece& piece);
  Result<> deliver(std::string_view piece, const Piece& to);
  Result<std::size_t> read_socket(std::span<char> out);

  Connection& connection_;
  const Framing framing_;
  const bool expects_continue_;
  const Limits limits_;
  const Clock& clock_;
  Counter received_;
  MonoTime deadline_{};
  std::uint64_t delivered_ = 0;
  bool is_begun_ = false;
  bool is_complete_ = false;
  bool is_broken_ = false;
};

}  // namespace sluice::http
