// The official tests of JSON Schema, case by case: tests/schemas/run fetches them and sets where.
#include "core/schema/json_rules.h"
#include "core/schema/tape.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::validator {
namespace {

using nlohmann::json;

/// What is refused at registration, and so cannot be tested. A file of the suite that is neither
/// here nor passes is a failure, and so is a case that is refused without a line here.
const std::map<std::string, std::string> kFilesLeftOut = {
    {"refRemote", "references to other documents are refused"},
    {"dynamicRef", "$dynamicRef and $dynamicAnchor are refused"},
    {"vocabulary", "$vocabulary is refused: there are no others than ours"},
    {"unknownKeyword", "unknown keywords are refused by name, never ignored"},
};
/// Beginnings of the message of a refusal that may be met within the files that are not left out.
const std::map<std::string, std::string> kRefusalsExpected = {
    {"refers to another document", "references to other documents are refused"},
    {"refers to no schema of this document", "what is referred to stands where no schema does"},
    {"the keyword \"", "unknown keywords are refused by name, never ignored"},
    {"regular expression: ", "RE2 has no lookarounds, and knows Unicode classes by short names"},
    {"enum and const beside each other", "refused"},
};

void put(Tape& tape, const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return tape.add_bool(value.get<bool>());
    case json::value_t::number_integer:
      return tape.add_int64(value.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return value.get<std::uint64_t>() > INT64_MAX ? tape.add_uint64(value.get<std::uint64_t>())
                                                    : tape.add_int64(value.get<std::int64_t>());
    case json::value_t::number_float:
      return tape.add_double(value.get<double>());
    case json::value_t::string:
      return tape.add_string(value.get<std::string>());
    case json::value_t::array:
      tape.begin(JsonType::kArray);
      for (const json& each : value) put(tape, each);
      return tape.end();
    case json::value_t::object:
      tape.begin(JsonType::kObject);
      for (const auto& each : value.items()) {
        tape.key(each.key());
        put(tape, each.value());
      }
      return tape.end();
    default:
      return tape.add_null();
  }
}

std::string refusal_of(const std::vector<FieldFault>& faults) {
  for (const FieldFault& fault : faults) {
    for (const auto& each : kRefusalsExpected) {
      if (fault.message.starts_with(each.first)) return each.second;
    }
  }
  return "";
}

struct Tally {
  int passed = 0;
  int refused = 0;
};

void run_group(const json& group, Draft draft, const std::string& where, Tally& tally) {
  std::vector<FieldFault> faults;
  const auto rules = JsonRules::compile(group["schema"], draft, faults, 32);
  if (!rules) {
    EXPECT_NE(refusal_of(faults), "")
        << where << ": " << faults.front().field << " " << faults.front().message;
    tally.refused += static_cast<int>(group["tests"].size());
    return;
  }
  for (const json& test : group["tests"]) {
    Tape tape;
    put(tape, test["data"]);
    JsonRules::Violation violation;
    EXPECT_EQ(rules->is_valid(tape, 0, 1'000'000, violation), test["valid"].get<bool>())
        << where << " / " << test["description"] << ": " << violation.detail;
    ++tally.passed;
  }
}

/// Cases that were judged.
int run_draft(const std::string& folder, Draft draft) {
  const char* const suite = std::getenv("SLUICE_JSON_SCHEMA_SUITE");
  Tally tally;
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(suite) + "/" + folder)) {
    if (entry.path().extension() != ".json") continue;
    ++files;
    if (kFilesLeftOut.contains(entry.path().stem().string())) continue;
    std::ifstream file(entry.path());
    for (const json& group : json::parse(file)) {
      run_group(group, draft,
                entry.path().filename().string() + ": " + group["description"].get<std::string>(),
                tally);
    }
  }
  EXPECT_GT(files, 30U);
  std::printf("%s: %d cases, %d of schemas that are refused\n", folder.c_str(), tally.passed,
              tally.refused);
  return tally.passed;
}

TEST(JsonSchemaSuite, Draft2020AgreesInEveryCase) {
  EXPECT_GT(run_draft("draft2020-12", Draft::k2020), 1100);
}
TEST(JsonSchemaSuite, Draft7AgreesInEveryCase) { EXPECT_GT(run_draft("draft7", Draft::k7), 800); }

}  // namespace
}  // namespace sluice::validator
