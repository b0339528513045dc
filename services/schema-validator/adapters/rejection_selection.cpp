// A selection of rejected messages as it is stored with its re-drive.
#include "adapters/rejection_store.h"

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {

using Json = nlohmann::json;

std::string to_json(const RejectionSelection& selection) {
  Json json = Json::object();
  const auto put = [&json](const char* name, const std::optional<std::string>& value) {
    if (value) json[name] = *value;
  };
  if (selection.from) json["from"] = format_rfc3339(*selection.from);
  if (selection.to) json["to"] = format_rfc3339(*selection.to);
  put("reason", selection.reason);
  put("pointer", selection.pointer);
  put("schema_id", selection.schema_id);
  put("device_id", selection.device_id);
  return to_json_text(json);
}

Result<RejectionSelection> parse_selection(std::string_view text) {
  SLUICE_TRY_ASSIGN(const Json json, parse_json_object(text));
  RejectionSelection selection;
  const auto take = [&json](const char* name) -> std::optional<std::string> {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
  };
  if (const auto from = take("from")) {
    SLUICE_TRY_ASSIGN(selection.from, parse_rfc3339(*from));
  }
  if (const auto to = take("to")) {
    SLUICE_TRY_ASSIGN(selection.to, parse_rfc3339(*to));
  }
  selection.reason = take("reason");
  selection.pointer = take("pointer");
  selection.schema_id = take("schema_id");
  selection.device_id = take("device_id");
  return selection;
}

}  // namespace sluice::validator
