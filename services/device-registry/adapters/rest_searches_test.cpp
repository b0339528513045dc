#include "adapters/rest_searches.h"

#include "testing/requests.h"

#include <functional>
#include <utility>

#include <gtest/gtest.h>

namespace sluice::registry::testing {
namespace {

TEST(Searches, LetsSoManyInAtOnceAndNoMore) {
  Registry metrics;
  std::function<void()> while_at_work;
  Searches searches(
      [&](const Caller&, ResourceKind, const ListRequest&) -> Result<Page> {
        if (const auto once = std::exchange(while_at_work, nullptr)) once();
        return Page{};
      },
      1, metrics);
  const auto list = [&] { return searches.list(admin_of("blue"), ResourceKind::kFleet, {}); };
  while_at_work = [&] {
    const auto refused = list();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
    EXPECT_EQ(refused.error().reason(), "too_many_searches");
  };
  EXPECT_TRUE(list());
  EXPECT_TRUE(list());  // both places were given back, that of the refused one too
  EXPECT_TRUE(metrics.scrape().contains("sluice_registry_searches_refused_total 1\n"));
}

}  // namespace
}  // namespace sluice::registry::testing
