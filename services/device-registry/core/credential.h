#pragma once

#include "core/json.h"
#include "ports.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::registry {

/// How a device proves itself.
enum class CredentialKind : std::uint8_t { kToken, kPsk, kCertificate, kJwt };

std::string_view to_string(CredentialKind kind);

// How a credential is found from what a device presents. Two tenants may hold the same lookup key;
// then the proof itself, or the tenant named in a certificate, decides.
std::string token_lookup_key(std::string_view token_id);
std::string psk_lookup_key(std::string_view identity);
std::string fingerprint_lookup_key(std::string_view fingerprint_hex);
std::string common_name_lookup_key(std::string_view common_name);
std::string jwt_lookup_key(std::string_view device_id);

/// The identity a TLS-PSK client names: "<tenant>/<name>". The tenant is part of it, so that a name
/// that is taken elsewhere cannot be told from one that is free.
std::string psk_identity_of(const TenantId& tenant, std::string_view name);

/// What a pre-shared key is sealed for: it opens nowhere else, whatever row it is copied to.
std::string psk_seal_context(const TenantId& tenant, std::string_view device_id,
                             std::string_view credential_id);

/// A credential ready to be stored.
struct PreparedCredential {
  Json fields = Json::object();  // the columns an operator may see
  CredentialSecrets secrets{};
  Json shown_once =
      Json::object();  // "auth_token" or "psk_key": goes into this one answer and nowhere else
};

/// Checks the body of a POST to a device's credentials, all faults at once, and mints what is to be
/// minted:
///   {"kind":"token"}                                   a token of ours; or "auth_token" (yours, in
///   our
///                                                      format), or "auth_token_hash" (yours,
///                                                      unseen by us)
///   {"kind":"psk"}                                     "psk_identity" and "psk_key" (hex) may be
///   given
///   {"kind":"certificate","fingerprint_sha256":"…"}    or "common_name": any certificate with it
///   that the
///                                                      front's authorities vouch for
///   {"kind":"jwt","public_key":"-----BEGIN…"}          the device signs its own tokens
/// All may have "expires_at".
Result<PreparedCredential> prepare_credential(const Json& body, const TenantId& tenant,
                                              std::string_view device_id, Vault& vault);

/// The members a POST of a device and a line of an import may have beside the device's own:
/// "issue_token" (default as told), "auth_token" or "auth_token_hash". Nullopt: no token.
/// Faults are appended.
std::optional<PreparedCredential> prepare_device_token(const Json& body, const TenantId& tenant,
                                                       std::string_view device_id,
                                                       bool issue_by_default, Vault& vault,
                                                       std::vector<FieldFault>& faults);

/// The fields prepare_device_token() reads, for shapes.
Shape device_token_fields();

}  // namespace sluice::registry
