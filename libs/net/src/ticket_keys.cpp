#include "ticket_keys.h"

#include <algorithm>
#include <ranges>
#include <set>

#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>
#include <sluice/crypto/pem_file.h>

#include <string.h>

namespace sluice::net {
namespace {

constexpr std::size_t kSecretSize = 32;
constexpr std::string_view kSetting = "ticket_key_file";

std::unexpected<Error> refuse(std::size_t line, const std::string& what) {
  return fail(ErrorCode::kInvalidArgument, "line " + std::to_string(line) + ": " + what);
}

void derive(std::string_view secret, std::string_view label, std::span<unsigned char> out) {
  std::string bytes = crypto::hmac_sha256(secret, label);
  std::copy_n(bytes.begin(), out.size(), out.begin());
  crypto::wipe(bytes);
}

}  // namespace

TicketKey TicketKey::from_secret(std::string_view secret) {
  TicketKey key;
  derive(secret, "sluice ticket name", key.name);
  derive(secret, "sluice ticket aes-256", key.aes);
  derive(secret, "sluice ticket hmac-sha-256", key.hmac);
  derive(secret, "sluice ticket aes-256-gcm-siv", key.seal);
  return key;
}

TicketKey::~TicketKey() {
  explicit_bzero(aes.data(), aes.size());
  explicit_bzero(hmac.data(), hmac.size());
  explicit_bzero(seal.data(), seal.size());
}

Result<TicketKeys> parse_ticket_keys(std::string_view text) {
  TicketKeys keys;
  std::set<std::string, std::less<>> ids;
  std::size_t number = 0;
  for (const auto part : std::views::split(text, '\n')) {
    ++number;
    std::string_view line(part.begin(), part.end());
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t blank = line.find(' ');
    if (blank == 0 || blank == line.npos) return refuse(number, "must be an id and a key");
    auto secret = from_base64url(line.substr(blank + 1));
    if (!secret || secret->size() != kSecretSize) {
      return refuse(number, "the key must be 43 characters of base64url: 32 bytes");
    }
    if (std::ranges::all_of(*secret, [](char c) { return c == '\0'; })) {
      return refuse(number, "the key is all zero");
    }
    if (!ids.emplace(line.substr(0, blank)).second) return refuse(number, "the id is repeated");
    if (keys.size() == kMaxTicketKeys) return refuse(number, "too many keys");
    keys.push_back(TicketKey::from_secret(*secret));
    crypto::wipe(*secret);
  }
  if (keys.empty()) return fail(ErrorCode::kInvalidArgument, "has no key");
  return keys;
}

TicketKeyStore::TicketKeyStore(std::string file, std::chrono::seconds lifetime, const Clock& clock,
                               Random& random)
    : file_(std::move(file)), lifetime_(lifetime), clock_(clock), random_(random) {}

Result<std::unique_ptr<TicketKeyStore>> TicketKeyStore::open(std::string file,
                                                             std::chrono::seconds lifetime,
                                                             const Clock& clock, Random& random) {
  std::unique_ptr<TicketKeyStore> store(
      new TicketKeyStore(std::move(file), lifetime, clock, random));
  SLUICE_TRY(store->reload_if_changed());
  return store;
}

std::shared_ptr<const TicketKeys> TicketKeyStore::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

TicketKey TicketKeyStore::random_key() {
  std::array<std::byte, kSecretSize> secret{};
  random_.fill(secret);
  const TicketKey key =
      TicketKey::from_secret({reinterpret_cast<const char*>(secret.data()), secret.size()});
  explicit_bzero(secret.data(), secret.size());
  return key;
}

Result<bool> TicketKeyStore::reload_if_changed() {
  TicketKeys keys;
  std::string stamp;
  if (file_.empty()) {
    const auto before = current();
    if (before && clock_.mono() - rotated_ < lifetime_) return false;
    // The key before this one still decrypts until its tickets have run out.
    if (before) keys.push_back(before->back());
    keys.push_back(random_key());
    rotated_ = clock_.mono();
  } else {
    stamp = crypto::stamp_of_files({&file_});
    if (stamp == stamp_) return false;
    SLUICE_TRY_ASSIGN(auto text, crypto::read_pem_file(std::string(kSetting), file_));
    auto parsed = parse_ticket_keys(text);
    crypto::wipe(text);
    if (!parsed) {
      return fail(crypto::pem_file_fault(std::string(kSetting), file_, parsed.error().message()));
    }
    keys = std::move(*parsed);
  }
  auto fresh = std::make_shared<const TicketKeys>(std::move(keys));
  std::lock_guard lock(mutex_);
  current_ = std::move(fresh);
  stamp_ = std::move(stamp);
  return true;
}

}  // namespace sluice::net
