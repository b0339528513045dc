#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/crypto/tls_identity.h>

#include <grpcpp/security/server_credentials.h>

struct grpc_server_credentials;

namespace sluice::rpc {

/// Asked about every call before gRPC looks for its handler. Called on gRPC's threads, together;
/// must answer from memory.
class CallGate {
 public:
  virtual ~CallGate() = default;
  /// `peer` is the service that the certificate names: empty for none, and always on plaintext.
  virtual Result<> admit(std::string_view path, std::string_view peer) = 0;
  /// What is shown from now on.
  virtual void on_certificate(const crypto::Certificate& certificate) = 0;
  /// New certificate files could not be taken; the old ones stay.
  virtual void on_reload_failed(const Error& error) = 0;
};

/// What a listener demands of whoever connects: with `files` a certificate of our authorities (and
/// each handshake takes the files as they are then), without them to come from this machine.
///
/// Built on gRPC's C interface because its C++ one offers neither: certificates there change by a
/// thread that reads files unchecked, and a metadata processor costs a copy of all metadata for
/// each call.
class ListenerCredentials final : public grpc::ServerCredentials {
 public:
  /// `files`, if not null, `gate` and this must outlive the server that this is given to: gRPC
  /// itself keeps the builder's credentials no longer than the builder.
  ListenerCredentials(crypto::TlsFiles* files, CallGate& gate);
  ~ListenerCredentials() override;

  /// The gate has that place.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& processor) override;

 private:
  struct Reloading;

  int AddPortToServer(const std::string& address, grpc_server* server) override;

  std::unique_ptr<Reloading> reloading_;
  grpc_server_credentials* credentials_ = nullptr;
};

}  // namespace sluice::rpc
