#pragma once

#include <memory>
#include <mutex>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

struct ssl_ctx_st;

namespace sluice::http {

/// A server's certificate and key as a TLS context, and its following of renewed files.
/// Thread-safe.
class ServerTls {
 public:
  /// Fails when the files cannot be read, do not belong together or have run out.
  static Result<std::unique_ptr<ServerTls>> open(std::string cert_file, std::string key_file,
                                                 const Clock& clock);

  /// Never null. Shared with the connections that were made with it.
  std::shared_ptr<ssl_ctx_st> current() const;
  /// When the certificate in use runs out.
  WallTime expires() const;

  /// True when new files were taken; on an error the last good ones stay.
  Result<bool> reload_if_changed();

 private:
  ServerTls(std::string cert_file, std::string key_file, const Clock& clock);

  const std::string cert_file_;
  const std::string key_file_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> current_;  // owned here and by connections in their handshake
  WallTime expires_{};
  std::string stamp_;  // which files were read: identity and time of each
};

/// Makes a client's context accept a certificate only when it is for `host`, name or address (which
/// SSL_get_verify_result() then tells), and gives it an own certificate if there is one.
Result<> prepare_client_context(ssl_ctx_st* context, const std::string& host,
                                const std::string& cert_file, const std::string& key_file);

}  // namespace sluice::http
