#pragma once

#include "adapters/rest_api.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/http/page.h>

#include <nlohmann/json.hpp>

namespace sluice::validator {

// What the handlers have in common.

Result<> check_no_parameters(const http::Request& request);
Result<http::Preconditions> preconditions_of(const http::Request& request);
Result<WriteOptions> write_options_of(const http::Request& request, audit::Trail& trail,
                                      std::string_view action);
/// A name that goes into a Kafka key and a path: an id without ':', which parts a schema from a
/// major version.
Result<std::string> schema_id_of(const http::Request& request);
/// Metrics and units are named by devices' makers: any text, within reason.
Result<std::string> name_param(const http::Request& request, std::string_view param);

/// 304 where the sender has it already.
template <typename Row>
Result<http::Response> answer(const http::Request& request, const Row& row, nlohmann::json json) {
  SLUICE_TRY_ASSIGN(const http::Preconditions preconditions, preconditions_of(request));
  const std::string etag = http::etag_of(row.revision);
  if (preconditions.is_not_modified(row.revision)) return http::Response::not_modified(etag);
  return http::Response::json(std::move(json)).with_etag(etag);
}

/// One page: `rows` holds one more than it where there is a next one.
template <typename Row, typename ToJson, typename Cursor>
http::Response page_of(const http::Request& request, std::vector<Row> rows, std::int64_t size,
                       ToJson to, Cursor cursor) {
  std::vector<std::string> next;
  if (rows.size() > static_cast<std::size_t>(size)) {
    rows.resize(static_cast<std::size_t>(size));
    next = cursor(rows.back());
  }
  nlohmann::json items = nlohmann::json::array();
  for (const Row& row : rows) items.push_back(to(row));
  return http::list_response(request, std::move(items), next);
}

/// Units and outlier policies.
void add_settings(http::Router& router, const RestParts& parts);

}  // namespace sluice::validator
