#include "ledger.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::sim {
namespace {

TEST(Ledger, IsWrittenAsRangesOfNumbers) {
  const auto roster = Roster::parse("meter,t1,d1,x\nmeter,t1,d2,x\n");
  ASSERT_TRUE(roster);
  Ledger ledger(2);
  for (const std::uint32_t sequence : {0U, 1U, 2U, 64U, 65U, 130U}) {
    ledger.published[1].insert(sequence);
  }
  ledger.acknowledged[1].insert(64);
  const std::string text = to_json_lines(ledger, *roster);
  const auto second = nlohmann::json::parse(text.substr(text.find('\n') + 1));
  EXPECT_EQ(second["device"], "d2");
  EXPECT_EQ(second["published"].dump(), "[[0,2],[64,65],[130,130]]");
  EXPECT_EQ(second["acknowledged"].dump(), "[[64,64]]");
  EXPECT_EQ(second["refused"].dump(), "[]");
}

}  // namespace
}  // namespace sluice::sim
