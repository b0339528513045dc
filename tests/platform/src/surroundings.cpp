#include <sluice/platform/surroundings.h>

#include <sluice/testing/environment.h>

namespace sluice::platform {

Surroundings::Surroundings() : kafka_namespace_(testing::unique_name("t") + ".") {}

std::string Surroundings::write(const std::string& name, const std::string& content) const {
  return folder_.write(name, content);
}

crypto::TlsIdentity Surroundings::identity_of(const std::string& service) const {
  return ca_.write_identity((folder_.path() / service).string(), service);
}

Environment Surroundings::settings() const {
  return {
      {"SLUICE_KAFKA_BROKERS", testing::require_env("SLUICE_TEST_KAFKA_BROKERS")},
      {"SLUICE_KAFKA_NAMESPACE", kafka_namespace_},
      {"SLUICE_OPS_LISTEN", "127.0.0.1:0"},
      {"SLUICE_READINESS_PERIOD", "50ms"},
  };
}

Environment Surroundings::settings_of_grpc(const std::string& service) const {
  const crypto::TlsIdentity identity = identity_of(service);
  return {
      {"SLUICE_GRPC_LISTEN", "127.0.0.1:0"},
      {"SLUICE_TLS_CERT_FILE", identity.cert_file},
      {"SLUICE_TLS_KEY_FILE", identity.key_file},
      {"SLUICE_TLS_CA_FILE", identity.ca_file},
  };
}

Environment Surroundings::settings_of_database(
    const postgres::testing::TestDatabase& database) const {
  const postgres::Config role = database.config_of_ordinary_role();
  database.execute("GRANT CREATE ON DATABASE " + database.name() + " TO " +
                   database.ordinary_role());
  return {{"SLUICE_POSTGRES_URL", role.url},
          {"SLUICE_POSTGRES_PASSWORD_FILE",
           write(database.name() + "-password", role.password.reveal())}};
}

}  // namespace sluice::platform
