#include "core/registration.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr const char* kOne = R"({"metrics": [{"name": "a", "type": "double", "max": 10}]})";
constexpr const char* kWider =
    R"({"metrics": [{"name": "a", "type": "double", "max": 20}, {"name": "b", "type": "int64"}]})";
constexpr const char* kNarrower = R"({"metrics": [{"name": "a", "type": "double", "max": 5}]})";

class RegistrationTest : public ::testing::Test {
 protected:
  Result<Decision> decide(const char* document, std::optional<std::uint32_t> major = {},
                          bool is_new_major = false, const CompileLimits& limits = {}) {
    return decide_version(existing,
                          {.kind = SchemaKind::kMetricsTable,
                           .document = document,
                           .major = major,
                           .is_new_major = is_new_major},
                          UnitTable::built_in(), limits);
  }
  void add(std::uint32_t major, std::uint32_t minor, const char* document) {
    existing.push_back({.version = {.major = major, .minor = minor},
                        .kind = SchemaKind::kMetricsTable,
                        .document = document});
  }
  std::vector<ExistingVersion> existing;
};

TEST_F(RegistrationTest, TheFirstVersionIsOneZero) {
  const auto decision = decide(kOne);
  ASSERT_TRUE(decision.has_value());
  EXPECT_EQ(decision->version.text(), "1.0");
  EXPECT_TRUE(decision->is_new);
  EXPECT_NE(decision->compiled, nullptr);
}

TEST_F(RegistrationTest, WhatAcceptsMoreIsTheNextMinor) {
  add(1, 0, kOne);
  EXPECT_EQ(decide(kWider).value().version.text(), "1.1");
}

TEST_F(RegistrationTest, WhatNarrowsIsRefusedAndNamed) {
  add(1, 0, kOne);
  const auto decision = decide(kNarrower);
  ASSERT_FALSE(decision.has_value());
  EXPECT_EQ(decision.error().reason(), "incompatible_schema");
  ASSERT_FALSE(decision.error().faults().empty());
  EXPECT_NE(decision.error().faults()[0].field.find("a"), std::string::npos);
  EXPECT_EQ(decide(kNarrower, {}, true).value().version.text(), "2.0");
}

TEST_F(RegistrationTest, TheSameAgainIsTheSameVersion) {
  add(1, 0, kOne);
  add(1, 1, kWider);
  const auto decision = decide(kWider);
  ASSERT_TRUE(decision.has_value());
  EXPECT_FALSE(decision->is_new);
  EXPECT_EQ(decision->version.text(), "1.1");
}

TEST_F(RegistrationTest, AMinorOfAnOlderMajorIsComparedWithThatOne) {
  add(1, 0, kOne);
  add(2, 0, kNarrower);
  EXPECT_EQ(decide(kWider, 1).value().version.text(), "1.1");
  EXPECT_EQ(decide(kOne, 2).value().version.text(), "2.1");
  EXPECT_EQ(decide(kOne, 7).error().code(), ErrorCode::kNotFound);
}

TEST_F(RegistrationTest, AMinorIsOfItsPredecessorsKind) {
  add(1, 0, kOne);
  existing[0].kind = SchemaKind::kJsonSchema;
  existing[0].document = "{}";
  const auto decision = decide(kOne);
  ASSERT_FALSE(decision.has_value());
  EXPECT_EQ(decision.error().faults().at(0).field, "/kind");
}

TEST_F(RegistrationTest, ATableOfMoreMetricsThanAllowedIsRefused) {
  EXPECT_TRUE(decide(kWider, {}, false, {.max_metrics = 2}).has_value());
  const auto decision = decide(kWider, {}, false, {.max_metrics = 1});
  ASSERT_FALSE(decision.has_value());
  EXPECT_EQ(decision.error().reason(), "invalid_schema");
  const auto large = decide(kWider, {}, false, {.max_document = 20});
  ASSERT_FALSE(large.has_value());
  EXPECT_NE(large.error().faults().at(0).message.find("20 bytes"), std::string::npos);
  const auto deep = decide(R"({"metrics": [[[[[]]]]]})", {}, false, {.max_depth = 3});
  EXPECT_FALSE(deep.has_value());
}

}  // namespace
}  // namespace sluice::validator
