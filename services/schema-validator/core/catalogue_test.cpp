#include "core/catalogue.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

constexpr const char* kTable = R"({"metrics": [{"name": "a", "type": "double"}]})";

schema::v1::SchemaChange version(const std::string& text, std::int64_t revision,
                                 const std::string& document = kTable) {
  schema::v1::SchemaChange change;
  change.set_tenant("t");
  change.set_schema_id("meter");
  change.set_version(text);
  change.set_kind(schema::v1::SCHEMA_KIND_METRICS_TABLE);
  change.set_document(document);
  change.set_revision(revision);
  return change;
}

class CatalogueTest : public ::testing::Test {
 protected:
  void apply(const std::string& key, const schema::v1::SchemaChange& change) {
    EXPECT_TRUE(table.apply(key, &change).has_value()) << key;
  }
  std::string found(std::string_view reference, std::string_view tenant = "t") {
    if (auto changed = table.take_changed()) catalogue = changed;
    const SchemaVersion* const version = catalogue->find(tenant, reference);
    return version == nullptr ? "none" : version->version_text;
  }
  CatalogueTable table{CompileLimits{}};
  std::shared_ptr<const Catalogue> catalogue = std::make_shared<const Catalogue>();
};

TEST_F(CatalogueTest, AReferenceMeansTheLatestOfAllOrOfItsMajor) {
  apply("t/meter/1.0", version("1.0", 1));
  apply("t/meter/2.0", version("2.0", 2));
  apply("t/meter/1.1", version("1.1", 3));
  EXPECT_EQ(found("meter"), "2.0");
  EXPECT_EQ(found("meter:1"), "1.1");
  EXPECT_EQ(found("meter:2"), "2.0");
  EXPECT_EQ(found("meter:3"), "none");
  EXPECT_EQ(found("else"), "none");
  EXPECT_EQ(found("meter", "other"), "none") << "a tenant's schemas are its own";
}

TEST_F(CatalogueTest, AnOlderStateThatComesLaterIsDropped) {
  apply("t/meter/1.0", version("1.0", 5, R"({"metrics": [{"name": "new", "type": "double"}]})"));
  apply("t/meter/1.0", version("1.0", 4, R"({"metrics": [{"name": "old", "type": "double"}]})"));
  found("meter");
  EXPECT_EQ(catalogue->find("t", "meter")->compiled->metrics()[0].name, "new");
}

TEST_F(CatalogueTest, ATombstoneTakesAVersionAway) {
  apply("t/meter/1.0", version("1.0", 1));
  EXPECT_EQ(found("meter"), "1.0");
  EXPECT_TRUE(table.apply("t/meter/1.0", nullptr).has_value());
  EXPECT_EQ(found("meter"), "none");
}

TEST_F(CatalogueTest, ACatalogueThatIsHeldDoesNotChange) {
  apply("t/meter/1.0", version("1.0", 1));
  found("meter");
  const auto held = catalogue;
  apply("t/meter/1.1", version("1.1", 2));
  EXPECT_EQ(found("meter"), "1.1");
  EXPECT_EQ(held->find("t", "meter")->version_text, "1.0");
}

TEST_F(CatalogueTest, NoChangeMakesNoOtherCatalogue) {
  apply("t/meter/1.0", version("1.0", 1));
  EXPECT_NE(table.take_changed(), nullptr);
  EXPECT_EQ(table.take_changed(), nullptr);
}

TEST_F(CatalogueTest, WhatMakesNoSenseIsLeftOut) {
  const auto change = version("1.0", 1);
  for (const char* const key : {"", "t", "t/meter", "t/meter/", "t/meter/x", "t/meter/1.0/2"}) {
    EXPECT_FALSE(table.apply(key, &change).has_value()) << key;
  }
  EXPECT_EQ(table.take_changed(), nullptr);
}

TEST_F(CatalogueTest, ADocumentThatCannotBeCompiledIsKnownAndBroken) {
  apply("t/meter/1.0", version("1.0", 1, R"({"metrics": [{"name": "a", "type": "double",
                                              "unit": "nobody's"}]})"));
  EXPECT_EQ(found("meter"), "1.0");
  EXPECT_EQ(catalogue->find("t", "meter")->compiled, nullptr);
  EXPECT_EQ(table.broken(), 1U);
}

}  // namespace
}  // namespace sluice::validator
