#include "conninfo.h"

#include <format>
#include <map>
#include <memory>

#include <libpq-fe.h>

namespace sluice::postgres {
namespace {

using Parameters = std::map<std::string, std::string>;

Result<Parameters> parse_url(const std::string& url) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parsed(
      PQconninfoParse(url.c_str(), &message), &PQconninfoFree);
  if (!parsed) {
    // libpq's text may quote the URL, where somebody may have written a password all the same.
    PQfreemem(message);
    return fail(ErrorCode::kInvalidArgument,
                "is not a URL such as postgresql://user@host:5432/database");
  }
  Parameters parameters;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) parameters.emplace(option->keyword, option->val);
  }
  return parameters;
}

std::string quote(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted += '\'';
}

void add_tls(const Config& config, Parameters& parameters) {
  parameters["sslmode"] = config.tls_mode.empty() ? "prefer" : config.tls_mode;
  if (!config.tls_ca_file.empty()) {
    parameters["sslrootcert"] = config.tls_ca_file;
  } else if (config.tls_mode == "verify-full") {
    parameters["sslrootcert"] = "system";
  }
  if (!config.tls_cert_file.empty()) {
    parameters["sslcert"] = config.tls_cert_file;
    parameters["sslkey"] = config.tls_key_file;
  }
}

}  // namespace

Result<> check_url(const std::string& url) {
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://")) {
    return fail(ErrorCode::kInvalidArgument,
                "is not a URL such as postgresql://user@host:5432/database");
  }
  SLUICE_TRY_ASSIGN(const Parameters parameters, parse_url(url));
  if (parameters.contains("password")) {
    return fail(ErrorCode::kInvalidArgument,
                "holds a password, which belongs into postgres_password_file");
  }
  for (const auto& [name, value] : parameters) {
    if (name.starts_with("ssl")) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("holds {}, which the settings postgres_tls_… say", name));
    }
  }
  return {};
}

Result<Secret> make_conninfo(const Config& config, std::string_view application_name) {
  SLUICE_TRY(check_url(config.url));
  SLUICE_TRY_ASSIGN(Parameters parameters, parse_url(config.url));
  if (!config.password.empty()) parameters["password"] = config.password.reveal();
  // Otherwise libpq would look for what we were not given in the user's home.
  parameters["passfile"] = "/dev/null";
  parameters["application_name"] = application_name;
  parameters["client_encoding"] = "UTF8";
  // A peer that vanished without a word is noticed after 10 + 3 * 5 seconds of silence.
  parameters.try_emplace("keepalives_idle", "10");
  parameters.try_emplace("keepalives_interval", "5");
  parameters.try_emplace("keepalives_count", "3");
  add_tls(config, parameters);
  std::string text;
  for (const auto& [name, value] : parameters) text += std::format("{}={} ", name, quote(value));
  return Secret(std::move(text));
}

}  // namespace sluice::postgres
