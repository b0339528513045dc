#pragma once

#include "core/schema/compiled_schema.h"

#include <vector>

#include <sluice/base/error.h>

namespace sluice::validator {

/// What `to` would refuse, or understand otherwise, of all that `from` accepts: a fault for each
/// field. Empty: `to` may be a minor version after `from`. What cannot be shown to be harmless
/// counts as harmful. See README.md for the rules.
std::vector<FieldFault> incompatibilities(const CompiledSchema& from, const CompiledSchema& to);

}  // namespace sluice::validator
