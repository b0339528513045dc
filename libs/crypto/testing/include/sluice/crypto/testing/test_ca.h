#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/crypto/tls_identity.h>

namespace sluice::crypto::testing {

/// A certificate and its key, PEM.
struct TestCertificate {
  std::string cert_pem;
  std::string key_pem;
};

/// A certificate authority that lives in memory and makes certificates for tests, EC P-256.
class TestCa {
 public:
  struct Request {
    std::string common_name;
    std::string organization{};
    std::vector<std::string> dns_names{};
    std::vector<std::string> ip_addresses{};
    std::vector<std::string> uri_names{};
    /// Relative to the machine's time, as TLS stacks check against that.
    std::chrono::seconds valid_from{-3600};
    std::chrono::seconds valid_until{24 * 3600};
    bool is_server = true;
    bool is_client = true;
  };

  explicit TestCa(const std::string& name = "Sluice Test CA");
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  /// The authority's own certificate.
  const std::string& cert_pem() const;

  TestCertificate issue(const Request& request) const;
  /// A service's identity: the name as common name and DNS name, for client and server.
  TestCertificate issue(const std::string& service_name) const;

  /// Writes a service's identity into three files of `folder` (made if absent) and returns their
  /// paths. Each file is replaced atomically, so that it also serves to renew.
  TlsIdentity write_identity(const std::string& folder, const std::string& service_name) const;
  TlsIdentity write_identity(const std::string& folder, const TestCertificate& certificate) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::crypto::testing
