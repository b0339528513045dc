#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::http {

/// Whether a Content-Type is one of `accepted`: type without case, and no parameter but
/// charset=utf-8.
bool is_media_type_one_of(std::string_view content_type, const std::vector<std::string>& accepted);

/// Whether an Accept header leaves room for one of `produced` (RFC 9110, section 12.5.1). The most
/// specific range that names a type decides, and q=0 says no. A malformed range names nothing.
bool is_acceptable(std::string_view accept, const std::vector<std::string>& produced);

}  // namespace sluice::http
