#include "core/query.h"

#include "core/resource.h"

#include <gtest/gtest.h>

namespace sluice::registry {
namespace {

const ResourceInfo& devices() { return info_of(ResourceKind::kDevice); }

TEST(Filter, ReadsTermsOfEveryKind) {
  const auto filter = parse_filter(
      R"(status = "active" AND metadata.site."a b" != 3 AND registered_at>="2026-01-01T00:00:00Z" AND fleet_id = null)",
      devices());
  ASSERT_TRUE(filter) << filter.error().message();
  ASSERT_EQ(filter->size(), 4U);
  EXPECT_EQ((*filter)[0].field->name, "status");
  EXPECT_EQ((*filter)[1].path, (std::vector<std::string>{"site", "a b"}));
  EXPECT_EQ((*filter)[1].op, Comparison::Operator::kNotEqual);
  EXPECT_EQ((*filter)[1].value, 3);
  EXPECT_EQ((*filter)[2].op, Comparison::Operator::kGreaterOrEqual);
  EXPECT_TRUE((*filter)[3].value.is_null());
  EXPECT_TRUE(parse_filter("  ", devices())->empty());
}

TEST(Filter, RefusesWhatItCannotAnswer) {
  for (const char* text :
       {"colour = 1", "status", "status =", "status = active", "status > \"a\"",
        "status = \"a\" OR status = \"b\"", "status = \"a\" AND", "metadata = 1", "metadata. = 1",
        "metadata.a < 3", "status.a = \"b\"", "registered_at = \"soon\"", "device_id = \"x\"",
        "status = \"open", "status = [1]", "a;b", "status = 5"}) {
    const auto filter = parse_filter(text, devices());
    ASSERT_FALSE(filter) << text;
    EXPECT_EQ(filter.error().code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(filter.error().faults().at(0).field, "filter") << text;
  }
  EXPECT_FALSE(parse_filter(std::string(kMaxFilterSize + 1, ' '), devices()));
}

TEST(Order, TakesSortableFieldsOnly) {
  EXPECT_EQ(parse_order("", devices())->field->name, "device_id");
  EXPECT_TRUE(parse_order("registered_at desc", devices())->is_descending);
  for (const char* text : {"model", "device_id down", "device_id desc ", "device_id,model"}) {
    EXPECT_FALSE(parse_order(text, devices())) << text;
  }
}

TEST(PageToken, ComesBackAsItWas) {
  const Order order = *parse_order("registered_at", devices());
  const Position position{.value = "2026-01-01T00:00:00.000Z",
                          .id = "0190f0f0-0000-7000-8000-000000000000"};
  const std::string question = question_of(devices(), "", "registered_at");
  const auto decoded =
      decode_page_token(encode_page_token(position, question), question, order, devices());
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_EQ(decoded->value, position.value);
  EXPECT_EQ(decoded->id, position.id);
}

TEST(PageToken, RefusesForgedAndForeignOnes) {
  const Order order = *parse_order("", devices());
  const std::string question = question_of(devices(), "", "");
  const std::string id = "0190f0f0-0000-7000-8000-000000000000";
  const std::string good = encode_page_token({.value = id, .id = id}, question);
  EXPECT_TRUE(decode_page_token(good, question, order, devices()));
  EXPECT_FALSE(
      decode_page_token(good, question_of(devices(), "status = \"active\"", ""), order, devices()));
  EXPECT_FALSE(decode_page_token(encode_page_token({.value = "x'", .id = id}, question), question,
                                 order, devices()));
  const Order by_time = *parse_order("registered_at", devices());
  const std::string not_a_uuid =
      encode_page_token({.value = "2026-01-01T00:00:00.000Z", .id = "trucks"}, question);
  EXPECT_FALSE(decode_page_token(not_a_uuid, question, by_time, devices()));
  EXPECT_FALSE(decode_page_token(good + "x", question, order, devices()));
  EXPECT_FALSE(decode_page_token("", question, order, devices()));
  EXPECT_FALSE(decode_page_token(std::string(2000, 'A'), question, order, devices()));
}

}  // namespace
}  // namespace sluice::registry
