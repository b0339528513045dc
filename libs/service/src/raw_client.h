#pragma once

#include <string>
#include <string_view>

namespace sluice::service {

/// A TCP connection of a test, so that it can send what no HTTP client would. Throws when it
/// cannot.
class RawClient {
 public:
  explicit RawClient(const std::string& address);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False when the other side has closed.
  bool send(std::string_view bytes);
  /// All until the other side closes.
  std::string receive_all();

 private:
  int fd_ = -1;
};

/// What a server answers to these bytes.
std::string ask(const std::string& address, std::string_view bytes);
/// `GET path` with more header lines, each ended by CRLF.
std::string get(const std::string& address, std::string_view path, std::string_view headers = "");
std::string post(const std::string& address, std::string_view path, std::string_view headers = "");

/// The status of an answer; 0 when it is none.
int status_of(std::string_view answer);
std::string body_of(std::string_view answer);

}  // namespace sluice::service
