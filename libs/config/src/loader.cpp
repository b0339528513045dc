#include "loader.h"

#include "values.h"
#include "yaml_file.h"

#include <algorithm>
#include <array>
#include <format>

namespace sluice {
namespace {

using config_detail::closest;

std::string did_you_mean(const std::string& name) {
  return name.empty() ? "" : std::format("; did you mean {}?", name);
}

/// Variables that share our prefix and are not settings: for tests, and for where to build.
bool is_foreign_variable(std::string_view name) {
  constexpr std::array<std::string_view, 3> kPrefixes = {"SLUICE_TEST_", "SLUICE_CRASH_",
                                                         "SLUICE_PLANTED_"};
  constexpr std::array<std::string_view, 2> kNames = {"SLUICE_CACHE", "SLUICE_TOOLCHAIN"};
  return std::ranges::any_of(kPrefixes, [&](auto prefix) { return name.starts_with(prefix); }) ||
         std::ranges::contains(kNames, name);
}

}  // namespace

void Settings::Loader::read_file(std::string_view yaml_text) {
  const config_detail::YamlFile file = config_detail::read_yaml(yaml_text);
  for (const FieldFault& fault : file.faults) add_fault(fault.field, fault.message);
  for (const config_detail::YamlEntry& entry : file.entries) {
    const std::string where = std::format("line {} of the file", entry.line);
    Setting* setting = settings_.find(entry.key);
    if (setting == nullptr) {
      add_fault(entry.key, std::format("is no setting{} ({})",
                                       did_you_mean(closest(entry.key, settings_.names())), where));
    } else if (entry.is_list && setting->kind != Kind::kTextList) {
      add_fault(entry.key, std::format("takes one value, not a list ({})", where));
    } else if (entry.is_list &&
               std::ranges::any_of(entry.values, [](auto& item) { return item.contains(','); })) {
      add_fault(entry.key, std::format("has an item with a comma ({})", where));
    } else {
      assign(*setting, config_detail::write(entry.values), Origin::kFile, where);
    }
  }
}

void Settings::Loader::read_environment(const std::map<std::string, std::string>& environment) {
  std::vector<std::string> known;
  for (Setting& setting : settings_.settings_) {
    const std::string& variable = known.emplace_back(environment_name(setting.name));
    const auto it = environment.find(variable);
    if (it != environment.end()) assign(setting, it->second, Origin::kEnvironment, variable);
  }
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("SLUICE_") || is_foreign_variable(name)) continue;
    if (std::ranges::contains(known, name)) continue;
    add_fault(name, std::format("is no setting's variable{} (the environment)",
                                did_you_mean(closest(name, known))));
  }
}

void Settings::Loader::check_defaults() {
  for (Setting& setting : settings_.settings_) {
    if (setting.origin != Origin::kDefault || faulty_.contains(setting.name)) continue;
    if (const auto result = setting.read(setting.fallback); !result) {
      add_fault(setting.name,
                std::format("{} (set it in the file or as {})", result.error().message(),
                            environment_name(setting.name)));
    }
  }
}

void Settings::Loader::check_rules() {
  for (const auto& rule : settings_.rules_) {
    for (FieldFault& fault : rule()) {
      if (!faulty_.contains(fault.field)) faults_.push_back(std::move(fault));
    }
  }
}

void Settings::Loader::assign(Setting& setting, std::string_view value, Origin origin,
                              const std::string& where) {
  if (const auto result = setting.read(value); !result) {
    add_fault(setting.name, std::format("{} ({})", result.error().message(), where));
    return;
  }
  setting.origin = origin;
}

void Settings::Loader::add_fault(std::string name, std::string message) {
  faulty_.insert(name);
  faults_.push_back({std::move(name), std::move(message)});
}

Result<> Settings::load(std::string_view yaml_text,
                        const std::map<std::string, std::string>& environment) {
  Loader loader(*this);
  loader.read_file(yaml_text);
  loader.read_environment(environment);
  loader.check_defaults();
  loader.check_rules();
  std::vector<FieldFault> faults = std::move(loader).faults();
  if (faults.empty()) return {};
  std::string message = faults.size() == 1 ? "1 setting is wrong"
                                           : std::format("{} settings are wrong", faults.size());
  return fail(
      Error(ErrorCode::kInvalidArgument, std::move(message)).with_faults(std::move(faults)));
}

}  // namespace sluice
