#include "core/promql/attribute_labels.h"

#include <gtest/gtest.h>

namespace sluice::tsdb::promql {
namespace {

TEST(AttributeLabels, AreCalledAsTheAttributeWhereThatIsALabelsName) {
  EXPECT_EQ(label_of_attribute("site"), "site");
  EXPECT_EQ(label_of_attribute("Serial_2"), "Serial_2");
  EXPECT_EQ(label_of_attribute("serial-number"), "serial_number");
  EXPECT_EQ(label_of_attribute("2g"), "_2g");
  EXPECT_EQ(label_of_attribute("straße"), "stra__e");  // bytes
}

TEST(AttributeLabels, HaveAPrefixWhereTheNameIsTakenOrReserved) {
  EXPECT_EQ(label_of_attribute("device"), "attribute_device");
  EXPECT_EQ(label_of_attribute("fleet"), "attribute_fleet");
  EXPECT_EQ(label_of_attribute("device-type"), "attribute_device_type");
  EXPECT_EQ(label_of_attribute("__name__"), "attribute___name__");
  EXPECT_EQ(label_of_attribute(""), "attribute_");
  EXPECT_FALSE(is_attribute_label("fleet"));
  EXPECT_FALSE(is_attribute_label("__name__"));
  EXPECT_TRUE(is_attribute_label(label_of_attribute("fleet")));
}

TEST(AttributeLabels, OfTwoWithOneLabelTheFirstByNameHasIt) {
  EXPECT_EQ(attribute_labels({{"a-b", "1"}, {"a.b", "2"}, {"empty", ""}, {"z", "3"}}),
            (std::vector<std::pair<std::string, std::string>>{{"a_b", "1"}, {"z", "3"}}));
}

}  // namespace
}  // namespace sluice::tsdb::promql
