#include "target.h"

#include <algorithm>
#include <format>

#include <sluice/base/encoding.h>
#include <sluice/base/utf8.h>

namespace sluice::http {
namespace {

Result<std::string> decode_part(std::string_view raw) {
  auto text = percent_decode(raw, true);
  if (!text || has_control_characters(*text) || !is_valid_utf8(*text)) {
    return fail(ErrorCode::kInvalidArgument, "the query is malformed");
  }
  return *std::move(text);
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    SLUICE_TRY_ASSIGN(auto name, decode_part(pair.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      SLUICE_TRY_ASSIGN(value, decode_part(pair.substr(equals + 1)));
    }
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace sluice::http
