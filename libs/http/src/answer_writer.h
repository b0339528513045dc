#pragma once

#include "transport.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/http/response.h>

namespace sluice::http {

struct AnswerOptions {
  bool is_head_request = false;
  bool is_close = false;  // Connection: close
  bool is_tls = false;
  std::string_view trace_id;
  WallTime now;
};

/// The head of an answer as bytes, security headers included. kInternal when the response has a
/// header that must not be sent: a handler let something from outside into it unchecked.
Result<std::string> render_head(const Response& response, const AnswerOptions& options);

struct WriteLimits {
  std::chrono::milliseconds io_timeout{0};
  std::chrono::milliseconds body_timeout{0};    // all of an answer that is held in memory
  std::chrono::milliseconds stream_timeout{0};  // all of a streamed one
};

/// Sends a whole answer; returns how many bytes its body had. After an error the connection is to
/// be cut.
Result<std::uint64_t> write_answer(Transport& transport, const Response& response, std::string head,
                                   bool is_head_request, const Clock& clock,
                                   const WriteLimits& limits);

/// Whether an answer of this status has a body at all (RFC 9110, section 6.4.1).
bool has_body(int status);

}  // namespace sluice::http
