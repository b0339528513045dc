#pragma once

#include <string>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/platform/service_process.h>
#include <sluice/postgres/testing/test_database.h>
#include <sluice/testing/temp_dir.h>

namespace sluice::platform {

/// What programs that belong together share: an authority, topics that nobody else uses, a folder
/// for their files.
class Surroundings {
 public:
  Surroundings();

  const crypto::testing::TestCa& ca() const { return ca_; }
  const std::string& kafka_namespace() const { return kafka_namespace_; }
  std::string folder() const { return folder_.path().string(); }
  /// Writes a file; gives its path.
  std::string write(const std::string& name, const std::string& content) const;
  /// A certificate for that service.
  crypto::TlsIdentity identity_of(const std::string& service) const;

  // What a service is started with: those of these that it has settings for, merged into its own,
  // which win.

  /// Kafka and the ops port, which every service has.
  Environment settings() const;
  /// A gRPC server with that service's identity.
  Environment settings_of_grpc(const std::string& service) const;
  /// The database, by its ordinary role, which may make a schema as every service's own role may.
  Environment settings_of_database(const postgres::testing::TestDatabase& database) const;

 private:
  testing::TempDir folder_;
  crypto::testing::TestCa ca_;
  std::string kafka_namespace_;
};

}  // namespace sluice::platform
