#include "server_credentials.h"

#include <mutex>

#include <sluice/base/check.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

namespace sluice::rpc {

/// What the fetch of certificates works on.
struct ListenerCredentials::Reloading {
  crypto::TlsFiles& files;
  CallGate& gate;
  std::mutex mutex{};
  std::shared_ptr<const crypto::TlsMaterial> handed_out{};  // owned here and by the files

  /// Called by gRPC at the start and before each handshake.
  static grpc_ssl_certificate_config_reload_status fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<Reloading*>(self)->fetch(config);
  }

  grpc_ssl_certificate_config_reload_status fetch(grpc_ssl_server_certificate_config** config) {
    if (auto reloaded = files.reload_if_changed(); !reloaded)
      gate.on_reload_failed(reloaded.error());
    auto material = files.current();
    std::lock_guard lock(mutex);
    if (material == handed_out) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair{.private_key = material->key_pem.reveal().c_str(),
                                          .cert_chain = material->cert_chain_pem.c_str()};
    *config = grpc_ssl_server_certificate_config_create(material->ca_pem.c_str(), &pair, 1);
    handed_out = std::move(material);
    gate.on_certificate(handed_out->certificate);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }
};

namespace {

std::string_view view_of(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

std::string_view path_of(const grpc_metadata* metadata, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (view_of(metadata[i].key) == ":path") return view_of(metadata[i].value);
  }
  return {};
}

/// The first DNS name of the certificate: the one that an authority gives a service.
std::string_view peer_of(const grpc_auth_context* context) {
  auto names = grpc_auth_context_find_properties_by_name(context, GRPC_PEER_DNS_PROPERTY_NAME);
  const grpc_auth_property* name = grpc_auth_property_iterator_next(&names);
  return name == nullptr ? std::string_view() : std::string_view(name->value, name->value_length);
}

void check_call(void* gate, grpc_auth_context* context, const grpc_metadata* metadata,
                std::size_t count, grpc_process_auth_metadata_done_cb done, void* user_data) {
  const auto verdict =
      static_cast<CallGate*>(gate)->admit(path_of(metadata, count), peer_of(context));
  if (verdict) {
    done(user_data, nullptr, 0, nullptr, 0, GRPC_STATUS_OK, nullptr);
    return;
  }
  done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(verdict.error().code()),
       verdict.error().message().c_str());
}

}  // namespace

ListenerCredentials::ListenerCredentials(crypto::TlsFiles* files, CallGate& gate) {
  if (files != nullptr) {
    reloading_ = std::make_unique<Reloading>(*files, gate);
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &Reloading::fetch,
            reloading_.get()));
  } else {
    credentials_ = grpc_local_server_credentials_create(LOCAL_TCP);
  }
  SLUICE_CHECK(credentials_ != nullptr);
  grpc_server_credentials_set_auth_metadata_processor(
      credentials_, {.process = &check_call, .destroy = nullptr, .state = &gate});
}

ListenerCredentials::~ListenerCredentials() { grpc_server_credentials_release(credentials_); }

void ListenerCredentials::SetAuthMetadataProcessor(
    const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) {
  SLUICE_CHECK(false);
}

int ListenerCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  return grpc_server_add_http2_port(server, address.c_str(), credentials_);
}

}  // namespace sluice::rpc
