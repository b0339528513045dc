#include "adapters/front_listeners.h"

#include <chrono>
#include <cstddef>
#include <string>

namespace sluice::front {

FrontListeners::FrontListeners(Registry& registry)
    : registry_(registry),
      certificate_expiry_(registry.gauge("sluice_mqtt_certificate_expiry_timestamp_seconds",
                                         "When the certificate shown to devices runs out.")) {}

Result<> FrontListeners::open(const Config& config, const RevokedCertificates& revoked,
                              const Clock& clock, Random& random) {
  const auto plan = [&](const char* name, const std::string& address, net::TlsContext* tls,
                        bool is_web_socket) {
    if (address.empty()) return;
    plans_.push_back({.name = name,
                      .address = address,
                      .tls = tls,
                      .is_web_socket = is_web_socket,
                      .expects_proxy_header = config.expects_proxy_header,
                      .web_socket = {.path = config.web_socket_path,
                                     .allowed_origins = config.web_socket_origins,
                                     .max_frame_bytes = config.max_packet.count},
                      .tenant_uri_prefix = config.tenant_uri_prefix,
                      .connect_timeout = config.connect_timeout,
                      .max_output = static_cast<std::size_t>(config.max_output.count)});
  };
  if (!config.mqtts_listen.empty() || !config.wss_listen.empty()) {
    const auto wanted =
        config.client_certificates == "required"   ? net::ClientCertificates::kRequired
        : config.client_certificates == "optional" ? net::ClientCertificates::kOptional
                                                   : net::ClientCertificates::kNone;
    SLUICE_TRY_ASSIGN(tls_, net::TlsContext::open(
                                {.cert_file = config.tls_cert_file,
                                 .key_file = config.tls_key_file,
                                 .client_certificates = wanted,
                                 .client_ca_file = config.client_ca_file,
                                 .ticket_key_file = config.ticket_key_file,
                                 .name = "mqtts"},
                                [&revoked](const net::PeerIdentity& identity) {
                                  return revoked.contains(identity.fingerprint);
                                },
                                clock, random, registry_));
  }
  if (!config.psk_listen.empty()) {
    SLUICE_TRY_ASSIGN(psk_, net::TlsContext::open_psk({.name = "psk"}, clock, registry_));
  }
  plan("mqtt", config.mqtt_listen, nullptr, false);
  plan("mqtts", config.mqtts_listen, tls_.get(), false);
  plan("psk", config.psk_listen, psk_.get(), false);
  plan("ws", config.ws_listen, nullptr, true);
  plan("wss", config.wss_listen, tls_.get(), true);
  if (plans_.empty()) {
    return fail(ErrorCode::kFailedPrecondition, "no listener is configured: mqtts_listen, …");
  }
  return {};
}

void FrontListeners::renew(const Logger& log) {
  if (tls_) {
    const auto expires = tls_->expires().time_since_epoch();
    certificate_expiry_.set(
        static_cast<double>(std::chrono::duration_cast<std::chrono::seconds>(expires).count()));
  }
  for (net::TlsContext* context : {tls_.get(), psk_.get()}) {
    if (context == nullptr) continue;
    if (const auto reloaded = context->reload_if_changed(); !reloaded) {
      log.error("certificate_not_reloaded", reloaded.error());
    }
  }
}

}  // namespace sluice::front
