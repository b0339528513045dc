#include <sluice/http/page.h>

#include <algorithm>

#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>
#include <sluice/http/request.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

// A cursor has two or three sort keys of at most a few hundred bytes; the URL's own bound is 8 KiB.
constexpr std::size_t kMaxTokenSize = 4096;
// 64 bits tell lists apart; this is against mistakes, not against attackers.
constexpr std::size_t kListHashSize = 8;

/// What the list is apart from its pages: route and filters, in any order.
std::string list_hash(const Request& request) {
  std::vector<std::pair<std::string, std::string>> filters;
  for (const auto& [name, value] : request.query) {
    if (name != "page_token" && name != "page_size") filters.emplace_back(name, value);
  }
  std::ranges::sort(filters);
  nlohmann::json text = {request.route, request.path_params, filters};
  return to_hex(crypto::sha256(to_json_text(text)).substr(0, kListHashSize));
}

}  // namespace

PageRequest read_page(QueryReader& query, const Request& request, std::size_t keys) {
  PageRequest page;
  page.size =
      query.integer("page_size", {.min = 1, .max = kMaxPageSize}).value_or(kDefaultPageSize);
  const auto token = query.text("page_token", kMaxTokenSize);
  if (!token) return page;

  const auto refuse = [&] {
    query.fault("page_token", "is not a token of this list; start again without it");
    return page;
  };
  const auto text = from_base64url(*token);
  if (!text) return refuse();
  const auto parsed = parse_json(*text);
  if (!parsed || !parsed->is_array() || parsed->size() != keys + 1) return refuse();
  if (!std::ranges::all_of(*parsed, [](const auto& item) { return item.is_string(); }))
    return refuse();
  if (parsed->front().get_ref<const std::string&>() != list_hash(request)) return refuse();
  for (std::size_t i = 1; i <= keys; ++i) {
    page.after.push_back((*parsed)[i].get<std::string>());
    // PostgreSQL takes no NUL in a text, and no token made here has one.
    if (page.after.back().find('\0') != std::string::npos) {
      page.after.clear();
      return refuse();
    }
  }
  return page;
}

std::string page_token(const Request& request, const std::vector<std::string>& after) {
  nlohmann::json parts = nlohmann::json::array({list_hash(request)});
  for (const std::string& key : after) parts.push_back(key);
  return to_base64url(to_json_text(parts));
}

Response list_response(const Request& request, nlohmann::json items,
                       const std::vector<std::string>& next_after) {
  nlohmann::json body;
  body["items"] = std::move(items);
  if (!next_after.empty()) body["next_page_token"] = page_token(request, next_after);
  return Response::json(body);
}

}  // namespace sluice::http
