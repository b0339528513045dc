#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::tsdb::promql {

/// The label of a device's attribute: its name, with '_' for what Prometheus does not allow in
/// names of labels ("serial-number" is serial_number, "2g" is _2g). Names that are taken (device,
/// fleet, device_type) or reserved (a leading "__") have the prefix "attribute_".
std::string label_of_attribute(std::string_view name);

/// Whether a label may be an attribute's.
bool is_attribute_label(std::string_view label);

/// Of two attributes that would have one label the first by name has it.
std::vector<std::pair<std::string, std::string>> attribute_labels(
    const std::map<std::string, std::string>& attributes);

}  // namespace sluice::tsdb::promql
