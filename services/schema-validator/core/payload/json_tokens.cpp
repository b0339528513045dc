#include "core/payload/json_tokens.h"

#include <charconv>

namespace sluice::validator::detail {

const char* read_real_slowly(const char* begin, const char* at, double& real) {
  if (*at == 'e' || *at == 'E') {
    ++at;
    if (*at == '+' || *at == '-') ++at;
    const char* const exponent = at;
    while (at - exponent < 4 && is_digit(*at)) ++at;
    if (at == exponent || is_digit(*at)) return nullptr;
  }
  const auto [past, error] = std::from_chars(begin, at, real);
  return error == std::errc() && past == at ? at : nullptr;
}

}  // namespace sluice::validator::detail
