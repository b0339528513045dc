#include "tls_context.h"

#include "openssl.h"

#include <array>
#include <format>

#include <sluice/config/settings.h>
#include <sluice/crypto/certificate.h>
#include <sluice/crypto/pem_file.h>

#include <arpa/inet.h>

namespace sluice::http {
namespace {

using Context = std::shared_ptr<SSL_CTX>;

/// Puts a PEM chain and its key into a context.
Result<> use_identity(SSL_CTX* context, const std::string& chain_pem, const std::string& key_pem) {
  const crypto::BioPtr chain = crypto::reader_of(chain_pem);
  const crypto::BioPtr key_text = crypto::reader_of(key_pem);
  const crypto::X509Ptr leaf(PEM_read_bio_X509_AUX(chain.get(), nullptr, nullptr, nullptr));
  // A key with a password would make OpenSSL ask on the terminal; the callback says there is none.
  const crypto::KeyPtr key(PEM_read_bio_PrivateKey(
      key_text.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr));
  bool is_set = leaf && key && SSL_CTX_use_certificate(context, leaf.get()) == 1 &&
                SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
                SSL_CTX_check_private_key(context) == 1;
  while (is_set) {
    const crypto::X509Ptr next(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
    if (!next) break;
    is_set = SSL_CTX_add1_chain_cert(context, next.get()) == 1;
  }
  if (!is_set) return fail(ErrorCode::kFailedPrecondition, take_openssl_error());
  ERR_clear_error();  // the end of the chain is an error to OpenSSL
  return {};
}

/// Chooses "http/1.1"; a client that offers only other protocols is told so.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOurs, sizeof(kOurs) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

ServerTls::ServerTls(std::string cert_file, std::string key_file, const Clock& clock)
    : cert_file_(std::move(cert_file)), key_file_(std::move(key_file)), clock_(clock) {}

Result<std::unique_ptr<ServerTls>> ServerTls::open(std::string cert_file, std::string key_file,
                                                   const Clock& clock) {
  std::unique_ptr<ServerTls> made(new ServerTls(std::move(cert_file), std::move(key_file), clock));
  SLUICE_TRY(made->reload_if_changed());
  return made;
}

std::shared_ptr<SSL_CTX> ServerTls::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

WallTime ServerTls::expires() const {
  std::lock_guard lock(mutex_);
  return expires_;
}

Result<bool> ServerTls::reload_if_changed() {
  // Before reading: a change during the reading is then seen the next time.
  std::string stamp = crypto::stamp_of_files({&cert_file_, &key_file_});
  {
    std::lock_guard lock(mutex_);
    if (stamp == stamp_) return false;
  }
  SLUICE_TRY_ASSIGN(const auto chain_pem, crypto::read_pem_file("tls_cert_file", cert_file_));
  SLUICE_TRY_ASSIGN(auto key_text, crypto::read_pem_file("tls_key_file", key_file_));
  const Secret key(std::move(key_text));
  auto chain = crypto::read_certificates_pem(chain_pem);
  if (!chain)
    return fail(crypto::pem_file_fault("tls_cert_file", cert_file_, chain.error().message()));
  const crypto::Certificate& leaf = chain->front();
  if (!leaf.is_valid_at(clock_.wall())) {
    return fail(crypto::pem_file_fault(
        "tls_cert_file", cert_file_,
        std::format("is valid from {} to {} only", format_rfc3339(leaf.not_before),
                    format_rfc3339(leaf.not_after))));
  }
  Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return fail(ErrorCode::kInternal, "TLS context: " + take_openssl_error());
  SLUICE_TRY(harden(context.get()));
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  if (auto used = use_identity(context.get(), chain_pem, key.reveal()); !used) {
    return fail(crypto::pem_file_fault(
        "tls_key_file", key_file_, "cannot be used with tls_cert_file: " + used.error().message()));
  }
  std::lock_guard lock(mutex_);
  current_ = std::move(context);
  expires_ = leaf.not_after;
  stamp_ = std::move(stamp);
  return true;
}

Result<> prepare_client_context(SSL_CTX* context, const std::string& host,
                                const std::string& cert_file, const std::string& key_file) {
  SLUICE_TRY(harden(context));
  // httplib would wait 100 ms and up to a second for the farewell of a server whose whole answer it
  // has.
  SSL_CTX_set_quiet_shutdown(context, 1);
  X509_VERIFY_PARAM* const rule = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(rule, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool is_set = is_ip_address(host)
                          ? X509_VERIFY_PARAM_set1_ip_asc(rule, host.c_str()) == 1
                          : X509_VERIFY_PARAM_set1_host(rule, host.c_str(), host.size()) == 1;
  if (!is_set) return fail(ErrorCode::kInternal, "TLS: " + take_openssl_error());
  if (cert_file.empty()) return {};
  SLUICE_TRY_ASSIGN(const auto chain_pem, crypto::read_pem_file("tls_cert_file", cert_file));
  SLUICE_TRY_ASSIGN(auto key_text, crypto::read_pem_file("tls_key_file", key_file));
  const Secret key(std::move(key_text));
  if (auto used = use_identity(context, chain_pem, key.reveal()); !used) {
    return fail(crypto::pem_file_fault("tls_cert_file", cert_file, used.error().message()));
  }
  return {};
}

}  // namespace sluice::http
