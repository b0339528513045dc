#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/error.h>

namespace sluice::config_detail {

/// One `key: value` of a settings file.
struct YamlEntry {
  std::string key;
  std::vector<std::string> values;  // one, or the items of a list
  bool is_list = false;
  int line = 0;
};

struct YamlFile {
  std::vector<YamlEntry> entries;
  std::vector<FieldFault> faults;  // of the file's form, each with its line
};

/// Reads the flat part of YAML that settings need: one map from names to scalars or lists of
/// scalars. Everything else is a fault, hostile forms among it: read as events, so that neither
/// depth, aliases nor size build anything up.
YamlFile read_yaml(std::string_view text);

}  // namespace sluice::config_detail
