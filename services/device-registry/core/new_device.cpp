#include "core/new_device.h"

#include "core/device_status.h"
#include "core/resource.h"

#include <algorithm>

namespace sluice::registry {
namespace {

/// The device's own fields, what it may begin as, and the members about its token.
const std::vector<Field>& new_device_shape() {
  static const std::vector<Field> shape = [] {
    const Shape own = info_of(ResourceKind::kDevice).shape;
    std::vector<Field> fields(own.begin(), own.end());
    fields.push_back(
        Field{.name = "status", .type = Field::Type::kOneOf, .one_of = initial_status_names()});
    std::ranges::copy(device_token_fields(), std::back_inserter(fields));
    return fields;
  }();
  return shape;
}

Json normalize_value(const Json& value, const Field& field) {
  switch (field.type) {
    case Field::Type::kInteger:
      return value.is_number_float() ? Json(static_cast<std::int64_t>(value.get<double>())) : value;
    case Field::Type::kObject:
      return normalize(value, field.fields);
    case Field::Type::kList: {
      Json list = Json::array();
      for (const Json& item : value) list.push_back(normalize(item, field.fields));
      return list;
    }
    default:
      return value;
  }
}

}  // namespace

Json normalize(const Json& document, Shape shape) {
  Json out = Json::object();
  for (const Field& field : shape) {
    const auto found = document.find(field.name);
    if (found != document.end() && !found->is_null()) {
      out[std::string(field.name)] = normalize_value(*found, field);
    }
  }
  return out;
}

PreparedDevice prepare_device(const Json& document, const TenantId& tenant,
                              std::string_view device_id, bool issue_token_by_default, Vault& vault,
                              std::vector<FieldFault>& faults) {
  PreparedDevice prepared;
  std::vector<FieldFault> found = check_shape(document, new_device_shape());
  if (found.empty()) {
    prepared.token =
        prepare_device_token(document, tenant, device_id, issue_token_by_default, vault, found);
    prepared.fields = normalize(document, info_of(ResourceKind::kDevice).shape);
    prepared.fields["device_id"] = device_id;
    const std::string status = text_at(document, "status");
    prepared.fields["status"] = status.empty() ? to_string(DeviceStatus::kActive) : status;
    if (!prepared.fields.contains("metadata")) prepared.fields["metadata"] = Json::object();
  }
  std::ranges::move(found, std::back_inserter(faults));
  return prepared;
}

}  // namespace sluice::registry
