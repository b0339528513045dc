#include "adapters/databases.h"

#include "testing/registry_database.h"

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

Result<> nothing(Transaction&) { return {}; }

TEST(Databases, SlowSearchesTakeNoConnectionOfTheOthers) {
  RegistryDatabase database;
  RegistryPool& opened = database.opened;
  auto made = Databases::open({.postgres = database.database.config_of_ordinary_role(),
                               .application_name = "registry_test",
                               .door_connections = 1,
                               .search_connections = 1,
                               .search_timeout = std::chrono::milliseconds(200)},
                              opened.clock, opened.random, opened.metrics,
                              opened.log->logger("test", opened.clock));
  ASSERT_TRUE(made) << made.error().message();
  Databases& databases = **made;
  ASSERT_TRUE(databases.ping());
  const Scope all = Scope::all_tenants();
  const auto searched =
      databases.search_store().run(all, {.mode = Mode::kRead}, [&](Transaction&) -> Result<> {
        const auto next = databases.search_store().run(all, {.mode = Mode::kRead}, nothing);
        EXPECT_FALSE(next);  // the one connection is taken, and it does not wait for long
        EXPECT_TRUE(databases.door_store().run(all, {.mode = Mode::kRead}, nothing));
        EXPECT_TRUE(databases.store().run(all, {.mode = Mode::kRead}, nothing));
        return {};
      });
  static_cast<void>(searched);  // whether its own time was up by then does not matter
}

}  // namespace
}  // namespace sluice::registry::testing
