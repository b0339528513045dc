#pragma once

#include "../tls_state.h"
#include "openssl.h"

namespace sluice::net {

/// A connection's TLS with OpenSSL: an SSL whose app data is this.
class OpenSslSession final : public TlsSession {
 public:
  /// `ssl` has its BIO.
  OpenSslSession(SslPtr ssl, std::unique_ptr<HandshakeData> data);
  ~OpenSslSession() override;

  Handshake handshake() override;
  bool is_resumed() const override;
  std::string_view protocol() const override;
  IoResult read(std::span<std::byte> into) override;
  IoResult write(std::span<const std::byte> bytes) override;
  void say_farewell() override;

 private:
  SslPtr ssl_;
};

/// Of the session that `ssl` is; null once the handshake's data were taken.
HandshakeData* handshake_data(const SSL* ssl);

/// Installs what asks for and checks client certificates.
Result<> install_client_verification(SSL_CTX* context, ClientCertificates mode,
                                     std::string_view ca_pem);

/// Installs session tickets that work on every pod with the same keys.
Result<> install_tickets(SSL_CTX* context, const TlsOptions& options);

/// After a resumed handshake: who the ticket was given to, all checks made again. False when it is
/// not to be believed.
bool restore_identity(const SSL* ssl, HandshakeData& data);

void install_psk(SSL_CTX* context);

}  // namespace sluice::net
