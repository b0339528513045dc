#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/config/settings.h>

namespace sluice {

/// One reading of all settings: file, environment, what is missing, rules. Collects every fault.
class Settings::Loader {
 public:
  explicit Loader(Settings& settings) : settings_(settings) {}

  void read_file(std::string_view yaml_text);
  void read_environment(const std::map<std::string, std::string>& environment);
  /// A default may be empty where a value is required; found by reading it again.
  void check_defaults();
  void check_rules();
  std::vector<FieldFault> faults() && { return std::move(faults_); }

 private:
  void assign(Setting& setting, std::string_view value, Origin origin, const std::string& where);
  void add_fault(std::string name, std::string message);

  Settings& settings_;
  std::vector<FieldFault> faults_;
  std::set<std::string, std::less<>> faulty_;
};

}  // namespace sluice
