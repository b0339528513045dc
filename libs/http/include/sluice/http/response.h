#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/http/headers.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::http {

/// Where a streamed answer is written to. write() waits while the peer is slow, and fails once it
/// is gone or took longer than `io_timeout`; the handler then stops.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  virtual Result<> write(std::string_view piece) = 0;
};

/// What a handler answers.
struct Response {
  /// Writes the body after the head was sent. An error can no longer change the status: the
  /// connection is cut inside the chunked body, which every client sees as a broken answer.
  using Stream = std::function<Result<>(BodyWriter&)>;

  int status = 200;
  Headers headers;
  std::string content_type;  // empty: no body
  std::string body;
  Stream stream;  // instead of body

  static Response json(const nlohmann::json& value, int status = 200);
  static Response text(std::string text, int status = 200);
  static Response bytes(std::string content_type, std::string bytes);
  /// 201 with Location.
  static Response created(const nlohmann::json& value, std::string location);
  /// 202 with Location: the work goes on, and its progress is found there.
  static Response accepted(const nlohmann::json& value, std::string location);
  static Response no_content();
  static Response not_modified(std::string etag);
  static Response streamed(std::string content_type, Stream stream);

  Response with_header(std::string name, std::string value) &&;
  /// Takes a whole entity tag, as etag_of() makes it.
  Response with_etag(std::string etag) &&;
};

}  // namespace sluice::http
