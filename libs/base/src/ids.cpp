#include <sluice/base/ids.h>

#include <algorithm>
#include <format>
#include <string>

namespace sluice {
namespace {

bool is_id_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == ':' || c == '-';
}

}  // namespace

Result<> check_id(std::string_view text, std::string_view field) {
  auto refuse = [&](std::string why) {
    return fail(Error(ErrorCode::kInvalidArgument, std::format("{} {}", field, why))
                    .with_fault(std::string(field), why));
  };
  if (text.empty()) return refuse("must not be empty");
  if (text.size() > kMaxIdSize) return refuse(std::format("is longer than {} bytes", kMaxIdSize));
  if (text.front() == '.') return refuse("must not start with '.'");
  if (!std::ranges::all_of(text, is_id_char)) {
    return refuse("may hold only letters, digits, '_', '.', ':' and '-'");
  }
  return {};
}

}  // namespace sluice
