#pragma once

#include "../tls_state.h"
#include "aws_lc.h"

#include <openssl/ssl.h>

namespace sluice::net::aws_lc {

/// A connection's TLS with AWS-LC: an SSL whose app data is this. After the handshake the library
/// keeps keys and counters alone: neither certificates nor settings nor buffers.
class Session final : public TlsSession {
 public:
  /// `ssl` has its BIO.
  Session(bssl::UniquePtr<SSL> ssl, std::unique_ptr<HandshakeData> data);

  Handshake handshake() override;
  bool is_resumed() const override;
  std::string_view protocol() const override;
  IoResult read(std::span<std::byte> into) override;
  IoResult write(std::span<const std::byte> bytes) override;
  void say_farewell() override;

 private:
  bssl::UniquePtr<SSL> ssl_;
};

/// Of the session that `ssl` is; null once the handshake's data were taken.
HandshakeData* handshake_data(const SSL* ssl);

/// Installs what asks for and checks client certificates. `authorities` are those of `ca_pem`, and
/// must live as long as `context`.
Result<bssl::UniquePtr<X509_STORE>> install_client_verification(SSL_CTX* context,
                                                                ClientCertificates mode,
                                                                std::string_view ca_pem);

/// Installs session tickets that work on every pod with the same keys.
Result<> install_tickets(SSL_CTX* context, const TlsOptions& options);

}  // namespace sluice::net::aws_lc
