#pragma once

#include "../record_socket.h"
#include "../tls_state.h"
#include "aws_lc.h"

#include <openssl/ssl.h>

namespace sluice::net::aws_lc {

/// The library keeps a ClientHello until the handshake is over, in TLS 1.2 twice, and a Certificate
/// until it is whole: with these bounds that comes to 20 KiB, its own state included. A ClientHello
/// with a ticket and keys of ML-KEM has 2 KiB, one that follows a wrong guess of the key's kind 1
/// KiB, a chain of three certificates with RSA keys of 4,096 bits 6 KiB, the proof 0.5 KiB.
inline constexpr HandshakeBounds kHandshakeBounds{.hello = 4 * 1024, .all = 10 * 1024};

/// A connection's TLS with AWS-LC: an SSL whose app data is this. After the handshake the library
/// keeps keys and counters alone: neither certificates nor settings nor buffers.
class Session final : public TlsSession {
 public:
  Session(bssl::UniquePtr<SSL> ssl, int fd, std::unique_ptr<HandshakeData> data);
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
