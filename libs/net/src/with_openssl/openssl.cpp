#include "openssl.h"

#include <string>

namespace sluice::net {

Error openssl_error(std::string_view what) {
  return {ErrorCode::kInternal, std::string(what) + ": " + crypto::take_openssl_error()};
}

}  // namespace sluice::net
