#include <sluice/postgres/config.h>

#include "conninfo.h"

#include <map>
#include <string>

#include <sluice/testing/temp_dir.h>

#include <gtest/gtest.h>

namespace sluice::postgres {
namespace {

Result<> load(Config& config, const std::map<std::string, std::string>& environment) {
  Settings settings;
  config.declare(settings);
  return settings.load("", environment);
}

TEST(Config, HasDefaultsThatWork) {
  Config config;
  ASSERT_TRUE(load(config, {}));
  EXPECT_GT(config.pool_size, 0);
  EXPECT_TRUE(make_conninfo(config, "test"));
}

void expect_fault(const std::string& setting,
                  const std::map<std::string, std::string>& environment) {
  Config config;
  const auto loaded = load(config, environment);
  ASSERT_FALSE(loaded) << setting;
  ASSERT_FALSE(loaded.error().faults().empty());
  EXPECT_EQ(loaded.error().faults()[0].field, setting);
}

TEST(Config, RefusesWhatCannotWorkOrTellsSecrets) {
  expect_fault("postgres_url", {{"SLUICE_POSTGRES_URL", "mysql://localhost/x"}});
  expect_fault("postgres_url", {{"SLUICE_POSTGRES_URL", "postgresql://user:secret@localhost/x"}});
  expect_fault("postgres_url",
               {{"SLUICE_POSTGRES_URL", "postgresql://localhost/x?password=secret"}});
  expect_fault("postgres_url",
               {{"SLUICE_POSTGRES_URL", "postgresql://localhost/x?sslmode=disable"}});
  expect_fault("postgres_url", {{"SLUICE_POSTGRES_URL", "postgresql://localhost/x?nonsense=1"}});
  expect_fault("postgres_tls_cert_file", {{"SLUICE_POSTGRES_TLS_CERT_FILE", "/x"}});
  expect_fault("postgres_tls_ca_file", {{"SLUICE_POSTGRES_TLS_MODE", "verify-ca"}});
  expect_fault("postgres_lock_timeout", {{"SLUICE_POSTGRES_LOCK_TIMEOUT", "30s"}});
}

TEST(Config, NeverRepeatsAPasswordInItsComplaints) {
  Config config;
  const auto loaded =
      load(config, {{"SLUICE_POSTGRES_URL", "postgresql://user:hunter2@localhost/x"}});
  ASSERT_FALSE(loaded);
  for (const FieldFault& fault : loaded.error().faults())
    EXPECT_FALSE(fault.message.contains("hunter2"));
}

TEST(Conninfo, QuotesWhateverAPasswordHolds) {
  Config config;
  config.url = "postgresql://user@localhost/x";
  config.password = Secret("it's \\ 'sslmode=disable");
  const auto conninfo = make_conninfo(config, "test");
  ASSERT_TRUE(conninfo);
  EXPECT_TRUE(conninfo->reveal().contains(R"(password='it\'s \\ \'sslmode=disable' )"))
      << conninfo->reveal();
}

}  // namespace
}  // namespace sluice::postgres
