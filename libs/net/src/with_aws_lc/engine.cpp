#include "session.h"

#include <array>
#include <span>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pool.h>

namespace sluice::net::aws_lc {
namespace {

// What certificates of devices may sign with: as OpenSSL, without SHA-1.
constexpr std::array<std::uint16_t, 10> kSignatures = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_ECDSA_SECP521R1_SHA512,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512};

// The library takes the first suite of the client's that is ours, too. Common clients begin with
// AES-256 and SHA-384 by habit, which costs both sides up to a fifth of a handshake, since
// processors have instructions for SHA-256 alone, and go on with ChaCha20, which has no
// instructions either. So those have AES-128 that offer it, but one that begins with ChaCha20 has
// no instructions for AES. AES-256 is for those alone that offer nothing else.
constexpr char kUsualCiphers13[] = "TLS_AES_128_GCM_SHA256";
constexpr char kCiphersWithoutAes[] = "TLS_CHACHA20_POLY1305_SHA256";

constexpr unsigned kAes128 = 0x1301;  // RFC 8446, B.4
constexpr unsigned kChaCha20 = 0x1303;

ssl_select_cert_result_t choose_ciphers(const SSL_CLIENT_HELLO* hello) noexcept {
  const std::span<const std::uint8_t> suites(hello->cipher_suites, hello->cipher_suites_len);
  bool has_aes_128 = false;
  bool has_chacha = false;
  unsigned first = 0;  // none: it speaks TLS 1.2 alone
  for (std::size_t i = 0; i + 1 < suites.size(); i += 2) {
    const unsigned suite = suites[i] * 256U + suites[i + 1];
    if (first == 0 && suite >> 8 == kAes128 >> 8) first = suite;
    has_aes_128 = has_aes_128 || suite == kAes128;
    has_chacha = has_chacha || suite == kChaCha20;
  }
  if (first == 0 || (has_aes_128 && first != kChaCha20)) return ssl_select_cert_success;
  const char* const others = has_chacha ? kCiphersWithoutAes : kCiphers13;
  return SSL_set_ciphersuites(hello->ssl, others) == 1 ? ssl_select_cert_success
                                                       : ssl_select_cert_error;
}

constexpr std::size_t kReadAhead = 4096;  // a ClientHello with a ticket and keys of ML-KEM: 2 KB

/// A pass phrase would be asked for on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

bssl::UniquePtr<BIO> reader_of(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
}

class Engine final : public TlsEngine {
 public:
  explicit Engine(bssl::UniquePtr<SSL_CTX> context) : context_(std::move(context)) {}

  Result<> show(std::string_view chain_pem, std::string_view key_pem) override {
    const auto chain_text = reader_of(chain_pem);
    const auto key_text = reader_of(key_pem);
    if (!chain_text || !key_text) return fail(error_of("own certificate"));
    const bssl::UniquePtr<EVP_PKEY> key(
        PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_pass_phrase, nullptr));
    std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owners;
    std::vector<CRYPTO_BUFFER*> chain;
    std::uint8_t* der = nullptr;
    long size = 0;
    while (PEM_bytes_read_bio(&der, &size, nullptr, PEM_STRING_X509, chain_text.get(), nullptr,
                              nullptr) == 1) {
      const bssl::UniquePtr<std::uint8_t> owner(der);
      owners.emplace_back(CRYPTO_BUFFER_new(der, static_cast<std::size_t>(size), nullptr));
      chain.push_back(owners.back().get());
    }
    if (!key || chain.empty() ||
        SSL_CTX_set_chain_and_key(context_.get(), chain.data(), chain.size(), key.get(), nullptr) !=
            1) {
      return fail(error_of("own certificate"));
    }
    ERR_clear_error();  // the end of the chain is an error to the library
    return {};
  }

  Result<> ask_for_certificates(ClientCertificates mode, std::string_view ca_pem) override {
    SLUICE_TRY_ASSIGN(authorities_, install_client_verification(context_.get(), mode, ca_pem));
    return {};
  }

  Result<std::unique_ptr<TlsSession>> accept(int fd, std::unique_ptr<HandshakeData> data) override {
    bssl::UniquePtr<SSL> ssl(SSL_new(context_.get()));
    if (!ssl) return fail(error_of("TLS"));
    SSL_set_accept_state(ssl.get());
    SSL_set_shed_handshake_config(ssl.get(), 1);
    auto session = std::make_unique<Session>(std::move(ssl), fd, std::move(data));
    if (!session->attach()) return fail(error_of("TLS"));
    return session;
  }

 private:
  bssl::UniquePtr<X509_STORE> authorities_;  // outlives the context, which refers to it
  bssl::UniquePtr<SSL_CTX> context_;
};

/// The library gathers what its random numbers begin with when the first is drawn, which is for the
/// first connection, from the jitter of the processor beside the kernel's: 40 ms of work, once in a
/// process. Now, and not on a loop that devices wait for.
void gather_entropy(SSL_CTX* context) { const bssl::UniquePtr<SSL> first(SSL_new(context)); }

Result<std::unique_ptr<TlsEngine>> new_engine(const TlsOptions& options) {
  // "With buffers": certificates stay bytes unless we parse them.
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_strict_cipher_list(context.get(), kCiphers12) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), kUsualCiphers13) != 1 ||
      SSL_CTX_set1_groups_list(context.get(), kGroups) != 1 ||
      SSL_CTX_set_verify_algorithm_prefs(context.get(), kSignatures.data(), kSignatures.size()) !=
          1) {
    return fail(error_of("TLS context"));
  }
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_select_certificate_cb(context.get(), choose_ciphers);
  // One receive for a record's header and body, and for all records that are there.
  SSL_CTX_set_read_ahead(context.get(), 1);
  // The buffer is made for each receive, and wiped with it: its size by itself, that of the longest
  // record, costs more than another receive for who sends as long ones. It grows for those.
  SSL_CTX_set_default_read_buffer_len(context.get(), kReadAhead);
  SLUICE_TRY(install_tickets(context.get(), options));
  gather_entropy(context.get());
  return std::make_unique<Engine>(std::move(context));
}

}  // namespace
}  // namespace sluice::net::aws_lc

namespace sluice::net {

// For docker/tools/sbom: what is compiled in leaves no other name behind.
[[gnu::used]] extern const char kStaticLibrary[] =
    "sluice-static-library aws-lc " SLUICE_AWS_LC_VERSION " sha256:" SLUICE_AWS_LC_SHA256;

const NewTlsEngine kNewAwsLcEngine = aws_lc::new_engine;

}  // namespace sluice::net
