#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include <sluice/base/result.h>
#include <sluice/net/stream.h>
#include <sluice/net/tls_context.h>

namespace sluice::net {

struct HandshakeData;

/// One connection's TLS in one of the libraries. Stream owns it and knows no more than this; what
/// all libraries have in common (who the client is, what is counted) is done there.
class TlsSession {
 public:
  explicit TlsSession(std::unique_ptr<HandshakeData> data);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  virtual ~TlsSession();

  /// As far as it goes. After kFailed the alert is sent and data()->failure says why; after kDone
  /// data()->identity is who the client proved to be.
  virtual Handshake handshake() = 0;
  virtual bool is_resumed() const = 0;
  /// A literal.
  virtual std::string_view protocol() const = 0;
  /// kFailed: not to be called again.
  virtual IoResult read(std::span<std::byte> into) = 0;
  virtual IoResult write(std::span<const std::byte> bytes) = 0;
  /// The FIN must follow at once.
  virtual void say_farewell() = 0;
  /// See Stream::trust().
  virtual void trust() = 0;

  /// What only the handshake needs, until it is taken.
  HandshakeData* data() const { return data_.get(); }
  std::unique_ptr<HandshakeData> take_data() { return std::move(data_); }

 private:
  std::unique_ptr<HandshakeData> data_;
};

/// What sessions of one reading of the files have in common: a context of a library. Immutable once
/// set up; thread-safe then.
class TlsEngine {
 public:
  TlsEngine() = default;
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  virtual ~TlsEngine() = default;

  /// Shows this chain to clients.
  virtual Result<> show(std::string_view chain_pem, std::string_view key_pem) = 0;
  /// Asks clients for certificates, kOptional or kRequired, of these authorities.
  virtual Result<> ask_for_certificates(ClientCertificates mode, std::string_view ca_pem) = 0;
  /// `fd` must outlive the session.
  virtual Result<std::unique_ptr<TlsSession>> accept(int fd,
                                                     std::unique_ptr<HandshakeData> data) = 0;
};

/// Null in a build without AWS-LC.
using NewTlsEngine = Result<std::unique_ptr<TlsEngine>> (*)(const TlsOptions& options);
extern const NewTlsEngine kNewAwsLcEngine;

Result<std::unique_ptr<TlsEngine>> new_openssl_engine(const TlsOptions& options);
Result<std::unique_ptr<TlsEngine>> new_openssl_psk_engine();

// What Mozilla's intermediate profile has, in the notation that all libraries share.
inline constexpr char kCiphers12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
inline constexpr char kCiphers13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
inline constexpr char kGroups[] = "X25519:P-256:P-384";

// A device's chain is two or three certificates; this is the bound of what somebody unknown can
// make us verify.
inline constexpr int kMaxChainDepth = 4;

/// Sessions of one kind of listener do not resume at another, whatever keys they share.
std::string session_scope(ClientCertificates mode);

}  // namespace sluice::net
