#include <sluice/crypto/jwt.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::crypto {
namespace {

/// Real ones have three.
constexpr std::size_t kMaxJsonLevels = 16;

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kMaxSubjectSize = 256;
constexpr double kLastSecond = 253402300799.0;  // 9999-12-31T23:59:59Z: beyond it is no date

std::unexpected<Error> refuse(std::string reason, std::string what) {
  return fail(Error(ErrorCode::kUnauthenticated, "token: " + std::move(what))
                  .with_reason(std::move(reason)));
}

std::unexpected<Error> malformed(std::string what) {
  return refuse("jwt_malformed", std::move(what));
}

struct Parts {
  std::string_view signed_text;  // header and payload as sent: what the signature is about
  Json header;
  Json payload;
  std::string signature;
};

std::optional<Json> decode_object(std::string_view base64url) {
  const auto text = from_base64url(base64url);
  if (!text) return std::nullopt;
  auto object = parse_json_object(*text, kMaxJsonLevels);
  return object ? std::optional(*std::move(object)) : std::nullopt;
}

Result<Parts> split(std::string_view token) {
  if (token.size() > kMaxJwtSize) return malformed("larger than 8 KiB");
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return malformed("not three parts");
  }
  Parts parts;
  parts.signed_text = token.substr(0, second);
  auto header = decode_object(token.substr(0, first));
  auto payload = decode_object(token.substr(first + 1, second - first - 1));
  auto signature = from_base64url(token.substr(second + 1));
  if (!header) return malformed("the header is not base64url of strict JSON");
  if (!payload) return malformed("the payload is not base64url of strict JSON");
  if (!signature) return malformed("the signature is not base64url");
  parts.header = *std::move(header);
  parts.payload = *std::move(payload);
  parts.signature = *std::move(signature);
  return parts;
}

std::optional<std::string> text_member(const Json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

Result<> check_header(const Json& header) {
  // RFC 7515: whoever does not understand an extension named here must refuse; we know none.
  if (header.contains("crit")) return malformed("the header has crit");
  if (header.contains("b64")) return malformed("the header has b64");
  // RFC 8725, 3.11: a token made for another purpose (logout, DPoP) must not pass as this one.
  if (header.contains("typ")) {
    auto type = text_member(header, "typ");
    if (!type) return malformed("typ is not text");
    std::ranges::transform(*type, type->begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    if (*type != "jwt" && *type != "at+jwt" && *type != "application/at+jwt") {
      return malformed("typ is neither JWT nor at+jwt");
    }
  }
  return {};
}

/// A NumericDate; nullopt when absent, an error when it is anything else than a sane number.
Result<std::optional<WallTime>> time_member(const Json& payload, const char* name) {
  const auto member = payload.find(name);
  if (member == payload.end()) return std::nullopt;
  if (!member->is_number()) return malformed(std::string(name) + " is not a number");
  const double seconds = member->get<double>();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > kLastSecond) {
    return malformed(std::string(name) + " is out of range");
  }
  return WallTime(milliseconds(static_cast<std::int64_t>(seconds * 1000)));
}

bool is_audience(const Json& payload, const std::string& wanted) {
  const auto audience = payload.find("aud");
  if (audience == payload.end()) return false;
  if (audience->is_string()) return audience->get_ref<const std::string&>() == wanted;
  return audience->is_array() && std::ranges::contains(*audience, Json(wanted));
}

/// The claims that decide, in the order in which a caller can best act on the reason.
Result<WallTime> check_claims(const Json& payload, const JwtPolicy& policy, WallTime now) {
  const auto issuer = text_member(payload, "iss");
  if (policy.issuer.empty() || issuer != policy.issuer) {
    return refuse("jwt_issuer", "from another issuer");
  }
  if (policy.audience.empty() || !is_audience(payload, policy.audience)) {
    return refuse("jwt_audience", "for another audience");
  }
  SLUICE_TRY_ASSIGN(const auto expires, time_member(payload, "exp"));
  SLUICE_TRY_ASSIGN(const auto not_before, time_member(payload, "nbf"));
  SLUICE_TRY_ASSIGN(const auto issued, time_member(payload, "iat"));
  if (!expires) return malformed("no exp");
  if (now >= *expires + policy.leeway) return refuse("jwt_expired", "expired");
  if (not_before && now + policy.leeway < *not_before) {
    return refuse("jwt_not_yet_valid", "not valid yet");
  }
  if (issued && now + policy.leeway < *issued) {
    return refuse("jwt_not_yet_valid", "issued in the future");
  }
  return *expires;
}

}  // namespace

struct JwtClaims::Impl {
  Json payload;
  std::string subject;
  WallTime expires;

  const Json* find(std::string_view name) const {
    if (const auto exact = payload.find(name); exact != payload.end()) return &*exact;
    const Json* at = &payload;
    while (true) {
      const std::size_t dot = std::min(name.find('.'), name.size());
      if (!at->is_object()) return nullptr;
      const auto member = at->find(name.substr(0, dot));
      if (member == at->end()) return nullptr;
      at = &*member;
      if (dot == name.size()) return at;
      name.remove_prefix(dot + 1);
    }
  }
};

/// The one maker of JwtClaims.
class JwtReader {
 public:
  static Result<JwtClaims> read(Parts parts, const PublicKey& key, const JwtPolicy& policy,
                                WallTime now) {
    // The key decides how it is used; the token may only agree.
    if (text_member(parts.header, "alg") != to_string(key.algorithm())) {
      return refuse("jwt_algorithm", "its algorithm is not the key's");
    }
    if (!key.verify(parts.signed_text, parts.signature)) {
      return refuse("jwt_signature", "its signature is wrong");
    }
    SLUICE_TRY_ASSIGN(const auto expires, check_claims(parts.payload, policy, now));
    auto subject = text_member(parts.payload, "sub");
    if (!subject || subject->empty() || subject->size() > kMaxSubjectSize) {
      return refuse("jwt_subject", "its subject is missing, empty or over 256 bytes");
    }
    return JwtClaims(
        std::make_unique<JwtClaims::Impl>(std::move(parts.payload), *std::move(subject), expires));
  }
};

std::optional<std::string> unverified_kid(std::string_view token) {
  const auto parts = split(token);
  if (!parts || !check_header(parts->header)) return std::nullopt;
  return text_member(parts->header, "kid");
}

Result<JwtClaims> verify_jwt(std::string_view token, const JwkSet& keys, const JwtPolicy& policy,
                             WallTime now) {
  SLUICE_TRY_ASSIGN(auto parts, split(token));
  SLUICE_TRY(check_header(parts.header));
  const auto kid = text_member(parts.header, "kid");
  const PublicKey* key = kid ? keys.find(*kid) : nullptr;
  if (key == nullptr) return refuse("jwt_unknown_key", "signed with a key we do not know");
  return JwtReader::read(std::move(parts), *key, policy, now);
}

Result<JwtClaims> verify_jwt(std::string_view token, const PublicKey& key, const JwtPolicy& policy,
                             WallTime now) {
  SLUICE_TRY_ASSIGN(auto parts, split(token));
  SLUICE_TRY(check_header(parts.header));
  return JwtReader::read(std::move(parts), key, policy, now);
}

JwtClaims::JwtClaims(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JwtClaims::JwtClaims(JwtClaims&&) noexcept = default;
JwtClaims& JwtClaims::operator=(JwtClaims&&) noexcept = default;
JwtClaims::~JwtClaims() = default;

const std::string& JwtClaims::subject() const { return impl_->subject; }
WallTime JwtClaims::expires() const { return impl_->expires; }

std::optional<std::string> JwtClaims::text(std::string_view name) const {
  const Json* claim = impl_->find(name);
  if (claim == nullptr || !claim->is_string()) return std::nullopt;
  return claim->get<std::string>();
}

std::vector<std::string> JwtClaims::texts(std::string_view name) const {
  std::vector<std::string> out;
  const Json* claim = impl_->find(name);
  if (claim == nullptr) return out;
  if (claim->is_array()) {
    for (const Json& item : *claim) {
      if (item.is_string()) out.push_back(item.get<std::string>());
    }
  } else if (claim->is_string()) {
    std::string_view rest = claim->get_ref<const std::string&>();
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      if (end > 0) out.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return out;
}

}  // namespace sluice::crypto
