#include "tls.h"

#include <format>

#include <sluice/crypto/openssl.h>

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>

namespace sluice::redis {
namespace {

std::unexpected<Error> tls_failure(std::string_view what) {
  return fail(ErrorCode::kInvalidArgument,
              std::format("{}: {}", what, crypto::take_openssl_error()));
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

void TlsSessions::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<TlsSessions> TlsSessions::open(const Config& config) {
  TlsSessions sessions;
  sessions.config_ = config;
  SLUICE_TRY_ASSIGN(sessions.context_, read(config));
  return sessions;
}

Result<TlsSessions::Context> TlsSessions::read(const Config& config) {
  Context made(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = made.get();
  if (context == nullptr) return tls_failure("make a TLS context");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (config.tls_ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) return tls_failure("system authorities");
  } else if (SSL_CTX_load_verify_locations(context, config.tls_ca_file.c_str(), nullptr) != 1) {
    return tls_failure("redis_tls_ca_file");
  }
  if (!config.tls_cert_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, config.tls_cert_file.c_str()) != 1) {
      return tls_failure("redis_tls_cert_file");
    }
    if (SSL_CTX_use_PrivateKey_file(context, config.tls_key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      return tls_failure("redis_tls_key_file");
    }
  }
  return made;
}

Result<void> TlsSessions::start(redisContext& connection, const std::string& host) {
  if (auto renewed = read(config_)) context_ = *std::move(renewed);
  crypto::SslPtr session(SSL_new(context_.get()));
  if (session == nullptr) return tls_failure("make a TLS session");
  if (is_ip_address(host)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), host.c_str()) != 1) {
      return tls_failure("expect the server's address");
    }
  } else if (SSL_set1_host(session.get(), host.c_str()) != 1 ||
             SSL_ctrl(session.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                      const_cast<char*>(host.c_str())) != 1) {  // OpenSSL copies it
    return tls_failure("expect the server's name");
  }
  if (redisInitiateSSL(&connection, session.get()) != REDIS_OK) {
    // hiredis leaves a session that failed at once to its caller.
    return fail(ErrorCode::kUnavailable, connection.errstr);
  }
  static_cast<void>(session.release());  // hiredis frees it with the connection
  return {};
}

}  // namespace sluice::redis
