#include "answer_writer.h"

#include "head.h"

#include <format>

#include <sluice/http/problem.h>

namespace sluice::http {
namespace {

// A head and a body up to this size go out in one piece, so that they make one packet where they
// can.
constexpr std::size_t kJoinSize = 64 * 1024;

/// Frames what a handler streams as chunks.
class ChunkWriter final : public BodyWriter {
 public:
  ChunkWriter(Transport& transport, const Clock& clock, std::chrono::milliseconds patience,
              MonoTime deadline)
      : transport_(transport), clock_(clock), patience_(patience), deadline_(deadline) {}

  Result<> write(std::string_view piece) override {
    if (piece.empty()) return {};  // an empty chunk would end the body
    if (is_failed_) return fail(ErrorCode::kCancelled, "the answer was broken off");
    std::string chunk = std::format("{:x}\r\n", piece.size());
    chunk += piece;
    chunk += "\r\n";
    auto written = transport_.write_all(chunk, clock_, patience_, deadline_);
    if (!written) is_failed_ = true;
    sent_ += piece.size();
    return written;
  }

  Result<> finish() {
    if (is_failed_) return fail(ErrorCode::kCancelled, "the answer was broken off");
    return transport_.write_all("0\r\n\r\n", clock_, patience_, deadline_);
  }

  std::uint64_t sent() const { return sent_; }

 private:
  Transport& transport_;
  const Clock& clock_;
  const std::chrono::milliseconds patience_;
  const MonoTime deadline_;
  std::uint64_t sent_ = 0;
  bool is_failed_ = false;
};

void add_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

/// Fields that belong to the server; a handler's would contradict what is sent.
bool is_framing_field(std::string_view name) {
  return equal_ignoring_case(name, "Content-Length") ||
         equal_ignoring_case(name, "Transfer-Encoding") ||
         equal_ignoring_case(name, "Connection") || equal_ignoring_case(name, "Content-Type");
}

}  // namespace

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

Result<std::string> render_head(const Response& response, const AnswerOptions& options) {
  std::string out =
      std::format("HTTP/1.1 {} {}\r\n", response.status, status_title(response.status));
  add_field(out, "Date",
            std::format("{:%a, %d %b %Y %H:%M:%S} GMT",
                        std::chrono::floor<std::chrono::seconds>(options.now)));
  for (const auto& [name, value] : response.headers) {
    if (is_framing_field(name)) continue;
    if (!is_valid_header(name, value)) {
      return fail(ErrorCode::kInternal, "an answer's header is malformed: " + name);
    }
    add_field(out, name, value);
  }
  if (!is_valid_header("Content-Type", response.content_type)) {
    return fail(ErrorCode::kInternal, "an answer's content type is malformed");
  }
  if (has_body(response.status)) {
    if (!response.content_type.empty()) add_field(out, "Content-Type", response.content_type);
    if (response.stream)
      add_field(out, "Transfer-Encoding", "chunked");
    else
      add_field(out, "Content-Length", std::to_string(response.body.size()));
  }
  // An API for programs: no caching by others, no guessing of types, nothing that a browser would
  // run.
  if (!response.headers.get("Cache-Control")) add_field(out, "Cache-Control", "no-store");
  add_field(out, "X-Content-Type-Options", "nosniff");
  add_field(out, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  add_field(out, "Referrer-Policy", "no-referrer");
  if (options.is_tls) add_field(out, "Strict-Transport-Security", "max-age=31536000");
  if (!options.trace_id.empty()) add_field(out, "X-Trace-Id", options.trace_id);
  if (options.is_close) add_field(out, "Connection", "close");
  out += "\r\n";
  return out;
}

Result<std::uint64_t> write_answer(Transport& transport, const Response& response, std::string head,
                                   bool is_head_request, const Clock& clock,
                                   const WriteLimits& limits) {
  const MonoTime begun = clock.mono();
  const MonoTime deadline = begun + limits.body_timeout;
  const auto write = [&](std::string_view bytes) {
    return transport.write_all(bytes, clock, limits.io_timeout, deadline);
  };
  if (is_head_request || !has_body(response.status)) {
    SLUICE_TRY(write(head));
    return 0;
  }
  if (response.stream) {
    SLUICE_TRY(write(head));
    ChunkWriter writer(transport, clock, limits.io_timeout, begun + limits.stream_timeout);
    SLUICE_TRY(response.stream(writer));
    SLUICE_TRY(writer.finish());
    return writer.sent();
  }
  if (response.body.size() <= kJoinSize) {
    head += response.body;
    SLUICE_TRY(write(head));
  } else {
    SLUICE_TRY(write(head));
    SLUICE_TRY(write(response.body));
  }
  return response.body.size();
}

}  // namespace sluice::http
