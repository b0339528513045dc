#pragma once

#include "core/catalog.h"
#include "core/door.h"
#include "core/importer.h"
#include "ports.h"
#include "testing/fake_vault.h"
#include "testing/requests.h"

#include <algorithm>
#include <format>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/testing/sim_random.h>

#include <gtest/gtest.h>

/// What every Store must do, shown through the use cases. The test program of each Store links it
/// and says INSTANTIATE_TEST_SUITE_P(Fake, StoreContract, ::testing::Values(make_fake)).
namespace sluice::registry::testing {

/// A Store with nothing in it but what its migrations put there.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual Store& store() = 0;
  /// What is to be published, in order.
  virtual std::vector<OutboxRecord> outbox() = 0;
  virtual const Clock& clock() = 0;
};

using MakeStore = std::unique_ptr<StoreUnderTest> (*)();

class StoreContract : public ::testing::TestWithParam<MakeStore> {
 protected:
  StoreContract() {
    const auto made = store.run(Scope::all_tenants(), {}, [](Transaction& transaction) -> Result<> {
      for (const char* tenant : {"platform", "blue", "red"})
        SLUICE_TRY(transaction.ensure_tenant(tenant));
      return {};
    });
    EXPECT_TRUE(made) << made.error().message();
  }

  Json new_device(const Json& more = Json::object()) {
    Json body{{"device_class", "meter"}};
    body.update(more);
    return body;
  }
  Resource create(const Caller& caller, ResourceKind kind, const Json& body) {
    auto written = catalog.create(caller, kind, body, {});
    EXPECT_TRUE(written) << written.error().message();
    return written ? written->resource : Resource();
  }
  std::vector<std::string> ids_of(const Page& page, const char* field = "external_id") {
    std::vector<std::string> ids;
    for (const Resource& resource : page.items) ids.push_back(text_at(resource.fields, field));
    return ids;
  }
  std::vector<std::string> search(const std::string& filter) {
    const auto page = catalog.list(blue, ResourceKind::kDevice, {.filter = filter});
    EXPECT_TRUE(page) << filter << ": " << page.error().message();
    auto ids = page ? ids_of(*page) : std::vector<std::string>();
    std::ranges::sort(ids);
    return ids;
  }
  Result<Operation> import(const Caller& caller, const std::string& lines,
                           ImportRequest request = {}) {
    SLUICE_TRY_ASSIGN(const Store::Begun begun, importer.begin(caller, request));
    TextLines source(lines);
    return importer.run(caller, begun.operation.id, request, source, {});
  }
  std::size_t device_count(const Caller& caller) {
    const auto page = catalog.list(caller, ResourceKind::kDevice, {.page_size = 1000});
    EXPECT_TRUE(page) << page.error().message();
    return page ? page->items.size() : 0;
  }

  std::unique_ptr<StoreUnderTest> under_test = GetParam()();
  Store& store = under_test->store();
  FakeVault vault;
  sluice::testing::SimRandom random{7};
  Catalog catalog{store, vault, under_test->clock(), random};
  Importer importer{store, vault, under_test->clock(), random, {.batch_lines = 3}};
  Operations operations{store, vault};
  AuditList audit;
  Door door{store, vault, audit, under_test->clock(), random};
  Caller blue = admin_of("blue");
  Caller red = admin_of("red");
};

}  // namespace sluice::registry::testing
