#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <sluice/base/result.h>
#include <sluice/config/settings.h>
#include <sluice/http/headers.h>

namespace sluice::http {

/// How a Client connects.
struct ClientConfig {
  std::chrono::milliseconds connect_timeout{2'000};
  /// The whole exchange. A name lookup alone can outlast it, by the resolver's own bounds
  /// (resolv.conf: timeout and attempts), as nothing can break it off.
  std::chrono::milliseconds timeout{5'000};
  Bytes max_response{1 << 20};  // body; a larger one is an error, never cut
  std::string ca_file{};        // PEM; empty: the system's authorities
  std::string tls_cert_file{};  // own certificate, both or neither
  std::string tls_key_file{};
  // http:// to other machines; localhost, 127.0.0.0/8 and [::1] always may.
  bool allow_plaintext = false;
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;  // https://host:port/path
  Headers headers{};
  std::string body{};
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
};

/// Asks other HTTP servers: the identity provider's keys, webhooks, and services in tests. The
/// server's certificate and name are always checked, redirects are not followed, proxies of the
/// environment are not used, packed answers stay packed, and nothing is sent twice. Thread-safe;
/// each call has a connection and a thread of its own and blocks up to its deadline.
class Client {
 public:
  explicit Client(ClientConfig config = {});
  ~Client();

  /// Any status is an answer. Errors: kInvalidArgument (URL, headers), kDeadlineExceeded,
  /// kUnavailable (could not connect, broken off), kResourceExhausted (answer too large),
  /// kUnauthenticated (certificate not believed),
  /// kFailedPrecondition (a file of the configuration cannot be used).
  Result<ClientResponse> send(const ClientRequest& request) const;
  Result<ClientResponse> get(std::string url) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::http
