#include "core/attributes.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::registry {
namespace {

using Path = std::vector<std::string>;

bool is_found(const nlohmann::json& attributes, const Path& path, const nlohmann::json& value) {
  return std::ranges::binary_search(attribute_terms(attributes), attribute_term(path, value));
}

TEST(Attributes, AreFoundByPathAndValue) {
  const nlohmann::json attributes{{"site", "north"},
                                  {"place", {{"floor", 3}}},
                                  {"tags", {"a", 1}},
                                  {"on", true},
                                  {"no", nullptr}};
  EXPECT_EQ(attribute_terms(attributes).size(), 5U);
  EXPECT_TRUE(is_found(attributes, {"site"}, "north"));
  EXPECT_TRUE(is_found(attributes, {"place", "floor"}, 3));
  EXPECT_TRUE(is_found(attributes, {"place", "floor"}, 3.0));
  EXPECT_TRUE(is_found(attributes, {"tags"}, "a"));
  EXPECT_TRUE(is_found(attributes, {"on"}, true));
}

TEST(Attributes, OfAnotherTypeOrPlaceAreNotFound) {
  const nlohmann::json attributes{{"a", {{"b", "1"}}}, {"t", "t"}};
  EXPECT_FALSE(is_found(attributes, {"a", "b"}, 1));
  EXPECT_FALSE(is_found(attributes, {"ab"}, "1"));
  EXPECT_FALSE(is_found(attributes, {"a"}, "1"));
  EXPECT_FALSE(is_found(attributes, {"t"}, true));
}

TEST(Attributes, HaveEachTermOnce) {
  EXPECT_EQ(attribute_terms({{"a", {1, 1, 1.0}}}).size(), 1U);
  EXPECT_TRUE(attribute_terms(nlohmann::json::object()).empty());
}

}  // namespace
}  // namespace sluice::registry
