#include "aws_lc.h"

#include <array>
#include <string>

#include <openssl/err.h>

namespace sluice::net::aws_lc {

Error error_of(std::string_view what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return {ErrorCode::kInternal, std::string(what) + ": " + text.data()};
}

}  // namespace sluice::net::aws_lc
