#include "core/credential.h"

#include <array>

#include <sluice/base/encoding.h>

namespace sluice::registry {
namespace {

using Type = Field::Type;

constexpr std::array<std::string_view, 4> kKinds{"token", "psk", "certificate", "jwt"};

constexpr std::array kTokenHashFields{
    Field{.name = "id", .type = Type::kBase64Url, .is_required = true, .min = 12, .max = 12},
    Field{.name = "salt", .type = Type::kHex, .is_required = true, .min = 32, .max = 32},
    Field{.name = "sha256", .type = Type::kHex, .is_required = true, .min = 64, .max = 64},
};

constexpr Field kAuthToken{.name = "auth_token", .type = Type::kText, .min = 60, .max = 60};
constexpr Field kAuthTokenHash{
    .name = "auth_token_hash", .type = Type::kObject, .fields = kTokenHashFields};
constexpr Field kKind{.name = "kind", .type = Type::kOneOf, .is_required = true, .one_of = kKinds};
constexpr Field kExpiresAt{.name = "expires_at", .type = Type::kTime};

constexpr std::array kDeviceTokenFields{Field{.name = "issue_token", .type = Type::kBoolean},
                                        kAuthToken, kAuthTokenHash};

constexpr std::array kTokenFields{kKind, kExpiresAt, kAuthToken, kAuthTokenHash};
constexpr std::array kPskFields{
    kKind,
    kExpiresAt,
    Field{.name = "psk_identity", .type = Type::kId},
    // 16 to 64 bytes: less is guessable, more is refused by constrained stacks.
    Field{.name = "psk_key", .type = Type::kHex, .min = 32, .max = 128},
};
constexpr std::array kCertificateFields{
    kKind,
    kExpiresAt,
    Field{.name = "fingerprint_sha256", .type = Type::kHex, .min = 64, .max = 64},
    Field{.name = "common_name",
          .type = Type::kText,
          .min = 1,
          .max = 64},                                                  // RFC 5280, ub-common-name
    Field{.name = "serial", .type = Type::kHex, .min = 1, .max = 40},  // RFC 5280, 20 octets
    Field{.name = "issuer", .type = Type::kText, .min = 1, .max = 512},
};
constexpr std::array kJwtFields{
    kKind,
    kExpiresAt,
    // RSA of 4096 bits takes about 800 characters.
    Field{.name = "public_key", .type = Type::kPem, .is_required = true, .min = 64, .max = 4096},
};

Shape shape_of(std::string_view kind) {
  if (kind == "psk") return kPskFields;
  if (kind == "certificate") return kCertificateFields;
  if (kind == "jwt") return kJwtFields;
  return kTokenFields;
}

bool has(const Json& body, std::string_view name) {
  const auto found = body.find(name);
  return found != body.end() && !found->is_null();
}

void use_token(const MintedToken& token, PreparedCredential& prepared) {
  prepared.fields["credential_id"] = token.id;
  prepared.secrets.lookup_key = token_lookup_key(token.id);
  prepared.secrets.salt = token.salt;
  prepared.secrets.secret_hash = token.hash;
  if (!token.text.empty()) prepared.shown_once["auth_token"] = token.text;
}

void prepare_token(const Json& body, Vault& vault, PreparedCredential& prepared,
                   std::vector<FieldFault>& faults) {
  if (has(body, "auth_token") && has(body, "auth_token_hash")) {
    faults.push_back({"/auth_token_hash", "give the token or its hash, not both"});
    return;
  }
  if (has(body, "auth_token")) {
    auto adopted = vault.adopt(TokenKind::kDevice, body["auth_token"].get<std::string>());
    if (!adopted) {
      faults.push_back(
          {"/auth_token",
           "must be sld_, an id of 12 letters and digits, _, and 43 characters of base64url"});
      return;
    }
    adopted->text.clear();  // its supplier has it
    use_token(*adopted, prepared);
    return;
  }
  if (has(body, "auth_token_hash")) {
    const Json& hash = body["auth_token_hash"];
    use_token({.id = hash["id"],
               .salt = from_hex(hash["salt"].get<std::string>()).value_or(""),
               .hash = from_hex(hash["sha256"].get<std::string>()).value_or(""),
               .text = ""},
              prepared);
    return;
  }
  use_token(vault.mint(TokenKind::kDevice), prepared);
}

void prepare_psk(const Json& body, const TenantId& tenant, std::string_view device_id, Vault& vault,
                 PreparedCredential& prepared, std::vector<FieldFault>& faults) {
  const std::string id = vault.mint_id();
  const bool is_given = has(body, "psk_key");
  const auto given = from_hex(text_at(body, "psk_key"));
  if (is_given && !given) {
    faults.push_back({"/psk_key", "must be whole bytes, two digits each"});
    return;
  }
  const std::string key = is_given ? *given : vault.mint_key();
  const std::string identity = psk_identity_of(
      tenant, has(body, "psk_identity") ? body["psk_identity"].get<std::string>() : id);
  prepared.fields["credential_id"] = id;
  prepared.fields["psk_identity"] = identity;
  prepared.secrets.lookup_key = psk_lookup_key(identity);
  auto sealed = vault.seal(key, psk_seal_context(tenant, device_id, id));
  if (!sealed) {
    faults.push_back({"/psk_key", sealed.error().message()});
    return;
  }
  prepared.secrets.sealed_secret = *std::move(sealed);
  if (!is_given) prepared.shown_once["psk_key"] = to_hex(key);
}

void prepare_certificate(const Json& body, Vault& vault, PreparedCredential& prepared,
                         std::vector<FieldFault>& faults) {
  if (has(body, "fingerprint_sha256") == has(body, "common_name")) {
    faults.push_back({"/fingerprint_sha256", "give either the fingerprint or the common name"});
    return;
  }
  prepared.fields["credential_id"] = vault.mint_id();
  for (const char* name : {"fingerprint_sha256", "common_name", "serial", "issuer"}) {
    if (has(body, name)) prepared.fields[name] = body[name];
  }
  prepared.secrets.lookup_key = has(body, "fingerprint_sha256")
                                    ? fingerprint_lookup_key(text_at(body, "fingerprint_sha256"))
                                    : common_name_lookup_key(text_at(body, "common_name"));
}

void prepare_jwt(const Json& body, std::string_view device_id, Vault& vault,
                 PreparedCredential& prepared, std::vector<FieldFault>& faults) {
  prepared.fields["credential_id"] = vault.mint_id();
  prepared.secrets.public_key = text_at(body, "public_key");
  prepared.secrets.lookup_key = jwt_lookup_key(device_id);
  if (const auto checked = vault.check_public_key(prepared.secrets.public_key); !checked) {
    faults.push_back({"/public_key", checked.error().message()});
  }
}

}  // namespace

std::string_view to_string(CredentialKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

std::string token_lookup_key(std::string_view token_id) {
  return std::format("token:{}", token_id);
}
std::string psk_lookup_key(std::string_view identity) { return std::format("psk:{}", identity); }
std::string fingerprint_lookup_key(std::string_view fingerprint_hex) {
  return std::format("sha256:{}", fingerprint_hex);
}
std::string common_name_lookup_key(std::string_view common_name) {
  return std::format("cn:{}", common_name);
}
std::string jwt_lookup_key(std::string_view device_id) { return std::format("jwt:{}", device_id); }

std::string psk_identity_of(const TenantId& tenant, std::string_view name) {
  return std::format("{}/{}", tenant.value(), name);
}

std::string psk_seal_context(const TenantId& tenant, std::string_view device_id,
                             std::string_view credential_id) {
  return std::format("device_registry/psk/{}/{}/{}", tenant.value(), device_id, credential_id);
}

Result<PreparedCredential> prepare_credential(const Json& body, const TenantId& tenant,
                                              std::string_view device_id, Vault& vault) {
  const std::string kind = body.is_object() ? text_at(body, "kind") : std::string();
  std::vector<FieldFault> faults = check_shape(body, shape_of(kind));
  PreparedCredential prepared;
  if (faults.empty()) {
    prepared.fields["kind"] = kind;
    prepared.fields["device_id"] = device_id;
    if (has(body, "expires_at")) prepared.fields["expires_at"] = body["expires_at"];
    if (kind == "token") prepare_token(body, vault, prepared, faults);
    if (kind == "psk") prepare_psk(body, tenant, device_id, vault, prepared, faults);
    if (kind == "certificate") prepare_certificate(body, vault, prepared, faults);
    if (kind == "jwt") prepare_jwt(body, device_id, vault, prepared, faults);
  }
  if (!faults.empty()) {
    return fail(Error(ErrorCode::kInvalidArgument, "the credential is not valid")
                    .with_faults(std::move(faults)));
  }
  return prepared;
}

std::optional<PreparedCredential> prepare_device_token(const Json& body, const TenantId& tenant,
                                                       std::string_view device_id,
                                                       bool issue_by_default, Vault& vault,
                                                       std::vector<FieldFault>& faults) {
  const bool is_supplied = has(body, "auth_token") || has(body, "auth_token_hash");
  const bool is_wanted =
      has(body, "issue_token") ? boolean_at(body, "issue_token") : issue_by_default;
  if (is_supplied && has(body, "issue_token") && is_wanted) {
    faults.push_back({"/issue_token", "cannot be true where the token is supplied"});
    return std::nullopt;
  }
  if (!is_supplied && !is_wanted) return std::nullopt;
  Json request{{"kind", "token"}};
  for (const char* name : {"auth_token", "auth_token_hash"}) {
    if (has(body, name)) request[name] = body[name];
  }
  auto prepared = prepare_credential(request, tenant, device_id, vault);
  if (!prepared) {
    for (const FieldFault& fault : prepared.error().faults()) faults.push_back(fault);
    return std::nullopt;
  }
  return *std::move(prepared);
}

Shape device_token_fields() { return kDeviceTokenFields; }

}  // namespace sluice::registry
