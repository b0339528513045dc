#include "session.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace sluice::net {
namespace {

constexpr char kPskCiphers12[] = "ECDHE-PSK-CHACHA20-POLY1305";
// A key made for TLS 1.2 goes with SHA-256 (RFC 8446, 4.2.11).
constexpr char kPskCiphers13[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";

/// A pass phrase would be asked for on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

Result<SslContextPtr> new_context(const char* ciphers12, const char* ciphers13) {
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context.get(), ciphers12) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), ciphers13) != 1 ||
      SSL_CTX_set1_groups_list(context.get(), const_cast<char*>(kGroups)) != 1) {
    return fail(openssl_error("TLS context"));
  }
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One receive for a record's header and body, and for all records that are there.
  SSL_CTX_set_read_ahead(context.get(), 1);
  return context;
}

class OpenSslEngine final : public TlsEngine {
 public:
  explicit OpenSslEngine(SslContextPtr context) : context_(std::move(context)) {}

  Result<> show(std::string_view chain_pem, std::string_view key_pem) override {
    SSL_CTX* const context = context_.get();
    const BioPtr chain = reader_of(chain_pem);
    const BioPtr key_text = reader_of(key_pem);
    const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_pass_phrase, nullptr));
    bool is_first = true;
    while (const X509Ptr x509{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)}) {
      const long taken = is_first ? SSL_CTX_use_certificate(context, x509.get())
                                  : SSL_CTX_add1_chain_cert(context, x509.get());
      if (taken != 1) return fail(openssl_error("own certificate"));
      is_first = false;
    }
    if (is_first || !key || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
      return fail(openssl_error("own certificate"));
    }
    ERR_clear_error();  // the end of the chain is an error to OpenSSL
    return {};
  }

  Result<> ask_for_certificates(ClientCertificates mode, std::string_view ca_pem) override {
    return install_client_verification(context_.get(), mode, ca_pem);
  }

  Result<std::unique_ptr<TlsSession>> accept(int fd, std::unique_ptr<HandshakeData> data) override {
    SslPtr ssl(SSL_new(context_.get()));
    if (!ssl) return fail(openssl_error("TLS"));
    SSL_set_accept_state(ssl.get());
    auto session = std::make_unique<OpenSslSession>(std::move(ssl), fd, std::move(data));
    if (!session->attach()) return fail(openssl_error("TLS"));
    return session;
  }

 private:
  SslContextPtr context_;
};

}  // namespace

Result<std::unique_ptr<TlsEngine>> new_openssl_engine(const TlsOptions& options) {
  SLUICE_TRY_ASSIGN(auto context, new_context(kCiphers12, kCiphers13));
  SLUICE_TRY(install_tickets(context.get(), options));
  return std::make_unique<OpenSslEngine>(std::move(context));
}

Result<std::unique_ptr<TlsEngine>> new_openssl_psk_engine() {
  SLUICE_TRY_ASSIGN(auto context, new_context(kPskCiphers12, kPskCiphers13));
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  install_psk(context.get());
  return std::make_unique<OpenSslEngine>(std::move(context));
}

}  // namespace sluice::net
