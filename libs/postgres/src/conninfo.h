#pragma once

#include <string>
#include <string_view>

#include <sluice/base/result.h>
#include <sluice/postgres/config.h>

namespace sluice::postgres {

/// Whether a URL is one that libpq takes and holds nothing that other settings say: a password,
/// TLS.
Result<> check_url(const std::string& url);

/// What libpq is given to connect, the password included: not to be shown.
Result<Secret> make_conninfo(const Config& config, std::string_view application_name);

}  // namespace sluice::postgres
