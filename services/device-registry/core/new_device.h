#pragma once

#include "core/credential.h"
#include "core/json.h"
#include "core/shape.h"
#include "ports.h"

#include <optional>
#include <string_view>
#include <vector>

#include <sluice/base/error.h>
#include <sluice/base/ids.h>

namespace sluice::registry {

/// A device as asked for by a POST or by a line of an import, checked and ready to be stored.
struct PreparedDevice {
  Json fields = Json::object();
  std::optional<PreparedCredential> token{};
};

/// Appends what is wrong with the document to `faults`; what is returned then means nothing.
PreparedDevice prepare_device(const Json& document, const TenantId& tenant,
                              std::string_view device_id, bool issue_token_by_default, Vault& vault,
                              std::vector<FieldFault>& faults);

/// The document as it is stored: null members of the shape left out, whole numbers as integers
/// however they were spelled. Attributes stay as they are. Only for a document that fits the shape.
Json normalize(const Json& document, Shape shape);

}  // namespace sluice::registry
