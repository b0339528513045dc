#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/http/query_reader.h>
#include <sluice/http/response.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::http {

struct Request;

inline constexpr std::int64_t kDefaultPageSize = 50;
inline constexpr std::int64_t kMaxPageSize = 500;

/// Which part of a list is asked for.
struct PageRequest {
  std::int64_t size = kDefaultPageSize;
  /// Where the last page ended: the texts its next_page_token was made of. Empty on the first page.
  std::vector<std::string> after;
};

/// Takes page_size and page_token from the query. `keys` is how many texts a cursor of this list
/// has.
///
/// A token is a place in a list, not a right: tenant and filters come from the request itself each
/// time, so forging one gives nothing that another request would not. It is therefore not signed,
/// and replicas share no key. It is bound to route and filters, so that a token cannot be carried
/// to another list by mistake, and anything but a token made here is refused.
PageRequest read_page(QueryReader& query, const Request& request, std::size_t keys);

/// The token that continues after a row with these sort keys.
std::string page_token(const Request& request, const std::vector<std::string>& after);

/// {"items": […], "next_page_token": "…"}; the token is left out on the last page.
Response list_response(const Request& request, nlohmann::json items,
                       const std::vector<std::string>& next_after);

}  // namespace sluice::http
