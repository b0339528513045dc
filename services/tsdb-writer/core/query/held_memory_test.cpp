#include "core/query/held_memory.h"

#include <memory>

#include <gtest/gtest.h>

namespace sluice::tsdb {
namespace {

TEST(HeldMemory, RefusesWhatOneQueryMayNotHoldAndWhatAllTogetherMayNot) {
  QueryMemory all(150);
  const QueryMemoryLimits limits{.max_bytes = 100, .all = &all};
  auto first = std::make_unique<HeldMemory>(limits);
  EXPECT_TRUE(first->hold(60));
  EXPECT_TRUE(first->hold(40));
  const auto too_much = first->hold(1);
  EXPECT_EQ(too_much.error().reason(), "query_max_memory");
  EXPECT_EQ(too_much.error().code(), ErrorCode::kInvalidArgument);

  HeldMemory second(limits);
  EXPECT_TRUE(second.hold(50));
  const auto full = second.hold(1);
  EXPECT_EQ(full.error().reason(), "query_memory");
  EXPECT_EQ(full.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(all.taken(), 150U);
  first.reset();
  EXPECT_TRUE(second.hold(50));
  EXPECT_EQ(all.taken(), 100U);
}

}  // namespace
}  // namespace sluice::tsdb
