#include "core/presented.h"

#include "core/credential.h"
#include "core/json.h"

#include <algorithm>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/base/uuid.h>

namespace sluice::registry {
namespace {

namespace proto = ::sluice::device::v1;

constexpr std::size_t kFingerprintSize = 32;    // SHA-256
constexpr std::size_t kMaxPresentedText = 256;  // names read from a handshake; ours are shorter

std::unexpected<Error> bad_request(std::string field, std::string message) {
  return fail(Error(ErrorCode::kInvalidArgument, field + ": " + message)
                  .with_fault(std::move(field), std::move(message)));
}

std::optional<Proof> proof_if(bool holds) { return holds ? std::optional(Proof()) : std::nullopt; }

/// The device a JSON Web Token says it is about. Not believed: it only finds the key that decides.
std::string unproven_subject(std::string_view jwt) {
  const std::size_t first = jwt.find('.');
  const std::size_t second = first == std::string_view::npos ? first : jwt.find('.', first + 1);
  if (second == std::string_view::npos) return {};
  const auto payload = from_base64url(jwt.substr(first + 1, second - first - 1));
  if (!payload) return {};
  const auto claims = parse_json(*payload);
  if (!claims || !claims->is_object()) return {};
  const auto subject = Uuid::parse(text_at(*claims, "sub"));
  return subject ? subject->to_string() : std::string();
}

Presented present_token(const std::string& text, const Vault& vault) {
  Presented presented;
  auto token = vault.parse(TokenKind::kDevice, text);
  if (!token) return presented;
  presented.search.lookup_keys.push_back(token_lookup_key(token->id));
  presented.prove = [&vault, token = *std::move(token)](const CredentialRecord& record) {
    return proof_if(vault.matches(record.secrets.salt, record.secrets.secret_hash, token.secret));
  };
  return presented;
}

Result<Presented> present_certificate(const proto::CertificateCredential& certificate) {
  if (certificate.fingerprint_sha256().size() != kFingerprintSize) {
    return bad_request("certificate.fingerprint_sha256", "must be 32 bytes");
  }
  if (certificate.common_name().size() > kMaxPresentedText) {
    return bad_request("certificate.common_name", "is too long");
  }
  Presented presented;
  presented.search.lookup_keys.push_back(
      fingerprint_lookup_key(to_hex(certificate.fingerprint_sha256())));
  if (!certificate.common_name().empty()) {
    presented.search.lookup_keys.push_back(common_name_lookup_key(certificate.common_name()));
  }
  presented.search.tenant = certificate.tenant_hint();
  presented.search.serial = certificate.serial();
  presented.search.issuer = certificate.issuer();
  // The front has verified the chain; what is left is whether it is the one that was registered.
  presented.prove = [&certificate](const CredentialRecord& record) {
    const Json& fields = record.credential.fields;
    const auto agrees = [&](std::string_view name, std::string_view value) {
      const std::string wanted = text_at(fields, name);
      return wanted.empty() || wanted == value;
    };
    return proof_if((certificate.tenant_hint().empty() ||
                     certificate.tenant_hint() == record.credential.tenant.value()) &&
                    agrees("serial", certificate.serial()) &&
                    agrees("issuer", certificate.issuer()));
  };
  return presented;
}

Presented present_jwt(const std::string& jwt, const Vault& vault) {
  Presented presented;
  const std::string subject = unproven_subject(jwt);
  if (subject.empty()) return presented;
  presented.search.lookup_keys.push_back(jwt_lookup_key(subject));
  presented.prove = [&vault, &jwt, subject](const CredentialRecord& record) {
    const auto expires_at = vault.verify_jwt(jwt, record.secrets.public_key, subject);
    return expires_at ? std::optional(Proof{.expires_at = *expires_at}) : std::nullopt;
  };
  return presented;
}

}  // namespace

namespace {

Result<Presented> present_any(const proto::AuthenticateRequest& request, const Vault& vault) {
  switch (request.credential_case()) {
    case proto::AuthenticateRequest::kToken:
      return present_token(request.token(), vault);
    case proto::AuthenticateRequest::kCertificate:
      return present_certificate(request.certificate());
    case proto::AuthenticateRequest::kPskIdentity: {
      Presented presented{.wants_psk = true};
      if (request.psk_identity().size() <= kMaxPresentedText) {
        presented.search.lookup_keys.push_back(psk_lookup_key(request.psk_identity()));
      }
      // The key itself is proven by the handshake that the front makes with it.
      presented.prove = [](const CredentialRecord&) { return proof_if(true); };
      return presented;
    }
    case proto::AuthenticateRequest::kJwt:
      return present_jwt(request.jwt(), vault);
    case proto::AuthenticateRequest::CREDENTIAL_NOT_SET:
      break;
  }
  return bad_request("credential", "none was sent");
}

}  // namespace

Result<Presented> present(const proto::AuthenticateRequest& request, const Vault& vault) {
  SLUICE_TRY_ASSIGN(Presented presented, present_any(request, vault));
  CredentialSearch& search = presented.search;
  search.claimed_device = request.claimed_device();
  // PostgreSQL has no text with a zero byte, so it is nobody's. The statement must not be made to
  // fail by it: others' searches may be in it too.
  const auto has_zero = [](const std::string& text) { return text.contains('\0'); };
  if (std::ranges::any_of(search.lookup_keys, has_zero) || has_zero(search.tenant) ||
      has_zero(search.serial) || has_zero(search.issuer) || has_zero(search.claimed_device)) {
    search.lookup_keys.clear();
  }
  return presented;
}

}  // namespace sluice::registry
