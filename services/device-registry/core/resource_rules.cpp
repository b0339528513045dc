#include "core/resource_rules.h"

#include "core/new_device.h"
#include "core/topic_policy.h"

#include <algorithm>
#include <format>

#include <sluice/base/ids.h>
#include <sluice/base/uuid.h>

namespace sluice::registry {
namespace {

using enum ResourceKind;

bool has_shape_field(Shape shape, std::string_view name) {
  return std::ranges::find(shape, name, &Field::name) != shape.end();
}

/// Rules of a kind beyond its shape.
void check_rules_of(ResourceKind kind, const Json& fields, std::vector<FieldFault>& faults) {
  if (kind != kTopicPolicy || !fields.contains("rules")) return;
  std::ranges::move(check_rules(rules_from_json(fields["rules"]), "/rules"),
                    std::back_inserter(faults));
}

void set_defaults(ResourceKind kind, Json& fields) {
  if (has_shape_field(info_of(kind).shape, "metadata") && !fields.contains("metadata")) {
    fields["metadata"] = Json::object();
  }
  if (kind == kTenant && !fields.contains("status")) fields["status"] = "active";
  if (kind == kDeviceClass && !fields.contains("max_qos")) fields["max_qos"] = 2;
  if (kind == kDeviceClass && !fields.contains("is_lossy")) fields["is_lossy"] = false;
}

}  // namespace

std::unexpected<Error> not_found(ResourceKind kind) {
  return fail(ErrorCode::kNotFound, std::format("no such {}", info_of(kind).noun));
}

std::unexpected<Error> invalid(std::vector<FieldFault> faults) {
  return fail(Error(ErrorCode::kInvalidArgument, "the document is not valid")
                  .with_faults(std::move(faults)));
}

Result<std::string> id_of(ResourceKind kind, std::string_view text) {
  if (kind == kDevice) {
    const auto uuid = Uuid::parse(text);
    if (!uuid) return not_found(kind);
    return uuid->to_string();
  }
  if (!check_id(text, "id")) return not_found(kind);
  return std::string(text);
}

std::string target_of(const Resource& resource) {
  return std::format("{}/{}", info_of(resource.kind).noun, resource.id);
}

std::string verb_of(ResourceKind kind, std::string_view verb) {
  return std::format("{}.{}", info_of(kind).noun, verb);
}

Result<Json> fields_of_new(ResourceKind kind, const Json& body) {
  const Shape shape = info_of(kind).shape;
  std::vector<FieldFault> faults = check_shape(body, shape);
  Json fields;
  if (faults.empty()) {
    fields = normalize(body, shape);
    set_defaults(kind, fields);
    check_rules_of(kind, fields, faults);
  }
  if (!faults.empty()) return invalid(std::move(faults));
  return fields;
}

Json writable_part(ResourceKind kind, const Json& fields) {
  Json out = Json::object();
  for (const Field& field : info_of(kind).shape) {
    if (const auto found = fields.find(field.name); found != fields.end())
      out[found.key()] = *found;
  }
  return out;
}

Result<Json> apply_patch(ResourceKind kind, const Json& before, const Json& patch) {
  const ResourceInfo& info = info_of(kind);
  if (!patch.is_object()) return invalid({{"", "must be an object"}});
  std::vector<FieldFault> faults;
  for (const auto& [name, value] : patch.items()) {
    if (name == info.id_field) {
      faults.push_back({json_pointer("", name), "cannot be changed"});
    } else if (!has_shape_field(info.shape, name)) {
      faults.push_back(
          {json_pointer("", name), "there is no such field, or it cannot be written here"});
    }
  }
  Json after = before;
  after.merge_patch(patch);
  for (FieldFault& fault : check_shape(after, info.shape)) {
    if (!std::ranges::contains(faults, fault.field, &FieldFault::field))
      faults.push_back(std::move(fault));
  }
  if (faults.empty()) check_rules_of(kind, after, faults);
  if (!faults.empty()) return invalid(std::move(faults));
  after = normalize(after, info.shape);
  set_defaults(kind, after);
  return after;
}

std::vector<std::string> changed_names(const Json& before, const Json& after) {
  std::vector<std::string> names;
  for (const auto& [name, value] : after.items()) {
    if (!before.contains(name) || before[name] != value) names.push_back(name);
  }
  for (const auto& [name, value] : before.items()) {
    if (!after.contains(name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> names_of(const Json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

}  // namespace sluice::registry
