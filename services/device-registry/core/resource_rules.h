#pragma once

#include "core/json.h"
#include "core/resource.h"

#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

/// What holds for all kinds of things and for each, below the use cases.
namespace sluice::registry {

std::unexpected<Error> not_found(ResourceKind kind);
/// kInvalidArgument with these faults.
std::unexpected<Error> invalid(std::vector<FieldFault> faults);

/// The one spelling of an id; what cannot be an id is the id of nothing: kNotFound.
Result<std::string> id_of(ResourceKind kind, std::string_view text);
/// "device/0190…" and "device.create", as audit records have them.
std::string target_of(const Resource& resource);
std::string verb_of(ResourceKind kind, std::string_view verb);

/// The fields of a new thing as they are stored, defaults among them; all faults at once.
Result<Json> fields_of_new(ResourceKind kind, const Json& body);
/// The members of `fields` that operators may write.
Json writable_part(ResourceKind kind, const Json& fields);
/// writable_part() after an RFC 7396 merge patch; all faults at once.
Result<Json> apply_patch(ResourceKind kind, const Json& before, const Json& patch);

std::vector<std::string> changed_names(const Json& before, const Json& after);
std::vector<std::string> names_of(const Json& object);

}  // namespace sluice::registry
