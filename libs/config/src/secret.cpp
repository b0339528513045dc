#include <cstring>

#include <sluice/config/settings.h>

namespace sluice {

Secret::~Secret() {
  // The whole buffer: what was moved away from a short text is still in it, past its end.
  value_.resize(value_.capacity());
  explicit_bzero(value_.data(), value_.size());
}

}  // namespace sluice
