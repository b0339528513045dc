#include "core/schema/json_rules.h"

#include "core/schema/rules_compiler.h"

namespace sluice::validator {

std::string unescaped(std::string_view fragment) {
  std::string made;
  for (std::size_t i = 0; i < fragment.size(); ++i) {
    const auto hex = [](char c) {
      return c >= '0' && c <= '9'   ? c - '0'
             : c >= 'a' && c <= 'f' ? c - 'a' + 10
             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                    : -1;
    };
    if (fragment[i] == '%' && i + 2 < fragment.size() && hex(fragment[i + 1]) >= 0 &&
        hex(fragment[i + 2]) >= 0) {
      made.push_back(static_cast<char>(hex(fragment[i + 1]) * 16 + hex(fragment[i + 2])));
      i += 2;
    } else {
      made.push_back(fragment[i]);
    }
  }
  return made;
}

JsonRules::JsonRules(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
JsonRules::~JsonRules() = default;

std::unique_ptr<const JsonRules> JsonRules::compile(const nlohmann::json& document, Draft draft,
                                                    std::vector<FieldFault>& faults,
                                                    std::size_t max_faults) {
  auto inside = RulesCompiler(document, draft, faults, max_faults).run();
  if (!inside) return nullptr;
  return std::unique_ptr<const JsonRules>(new JsonRules(std::move(inside)));
}

}  // namespace sluice::validator
