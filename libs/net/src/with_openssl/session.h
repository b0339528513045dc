#pragma once

#include "../record_socket.h"
#include "../tls_state.h"
#include "openssl.h"

namespace sluice::net {

/// Of a message the library takes 16 KiB, for which it has the room from its start; and its tickets
/// contain the certificate.
inline constexpr HandshakeBounds kHandshakeBounds{.hello = 16 * 1024, .all = 32 * 1024};

/// A connection's TLS with OpenSSL: an SSL whose app data is this.
class OpenSslSession final : public TlsSession {
 public:
  OpenSslSession(SslPtr ssl, int fd, std::unique_ptr<HandshakeData> data);
  ~OpenSslSession() override;
  /// Before anything else. False when there is no memory.
  bool attach();

  Handshake handshake() override;
  bool is_resumed() const override;
  std::string_view protocol() const override;
  IoResult read(std::span<std::byte> into) override;
  IoResult write(std::span<const std::byte> bytes) override;
  void say_farewell() override;
  void trust() override { socket_.trust(); }

 private:
  RecordSocket socket_;
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
