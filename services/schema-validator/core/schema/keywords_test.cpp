#include "core/schema/keywords.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace sluice::validator {
namespace {

/// The README beside this file: what operators read before they write a schema. Tests run in the
/// source's folder or in a build within it.
std::string readme() {
  for (auto folder = std::filesystem::current_path(); folder.has_relative_path();
       folder = folder.parent_path()) {
    std::ifstream file(folder / "services/schema-validator/core/schema/README.md");
    if (file) return {std::istreambuf_iterator<char>(file), {}};
  }
  return "";
}

/// Keywords that the README lists as supported, each with its mark.
std::map<std::string, std::string> listed() {
  const std::string text = readme();
  const std::size_t begin = text.find("Supported: `");
  const std::size_t end = text.find("(¹ 2020-12 alone", begin);
  std::map<std::string, std::string> found;
  if (end == std::string::npos) return found;
  for (std::size_t at = text.find('`', begin); at < end; at = text.find('`', at)) {
    const std::size_t close = text.find('`', at + 1);
    const std::string name = text.substr(at + 1, close - at - 1);
    const std::string mark = text.substr(close + 1, 2);
    found[name] = mark == "¹" || mark == "²" ? mark : "";
    at = close + 1;
  }
  return found;
}

TEST(Keywords, AreThoseThatTheReadmeLists) {
  const auto documented = listed();
  for (const Keyword& keyword : keywords()) {
    const auto found = documented.find(std::string(keyword.name));
    ASSERT_NE(found, documented.end()) << keyword.name << " is not listed";
    const std::string mark = !keyword.is_in_7 ? "¹" : !keyword.is_in_2020 ? "²" : "";
    EXPECT_EQ(found->second, mark) << keyword.name;
  }
  for (const auto& [name, mark] : documented) {
    EXPECT_TRUE(find_keyword(name, Draft::k7) != nullptr ||
                find_keyword(name, Draft::k2020) != nullptr)
        << name << " is listed and not supported";
  }
}

}  // namespace
}  // namespace sluice::validator
