#include <sluice/crypto/key_ring.h>

#include "openssl.h"

#include <algorithm>
#include <format>
#include <optional>
#include <span>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/base/encoding.h>
#include <sluice/crypto/hash.h>

namespace sluice::crypto {
namespace {

// A sealed value: version, size of the key's id, id, nonce, ciphertext, tag.
constexpr char kVersion = 1;
constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;  // what GCM is defined for without hashing the nonce
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kMaxKeyIdSize = 32;
constexpr std::size_t kMaxKeys = 64;
constexpr std::size_t kMaxPlainSize = KeyRing::kMaxSealedSize;

constexpr std::string_view kIdDigits =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

struct Sealed {
  std::string_view header;  // version, size, id: authenticated with the context
  std::string_view key_id;
  std::string_view nonce;
  std::string_view cipher;
  std::string_view tag;
};

std::optional<Sealed> split(std::string_view sealed) {
  if (sealed.size() < 2 || sealed[0] != kVersion) return std::nullopt;
  const auto id_size = static_cast<std::size_t>(static_cast<unsigned char>(sealed[1]));
  if (id_size == 0 || id_size > kMaxKeyIdSize) return std::nullopt;
  const std::size_t header_size = 2 + id_size;
  if (sealed.size() < header_size + kNonceSize + kTagSize) return std::nullopt;
  if (sealed.size() > header_size + kNonceSize + kTagSize + kMaxPlainSize) return std::nullopt;
  const std::size_t cipher_size = sealed.size() - header_size - kNonceSize - kTagSize;
  return Sealed{.header = sealed.substr(0, header_size),
                .key_id = sealed.substr(2, id_size),
                .nonce = sealed.substr(header_size, kNonceSize),
                .cipher = sealed.substr(header_size + kNonceSize, cipher_size),
                .tag = sealed.substr(sealed.size() - kTagSize)};
}

/// Key id and context, told apart by the size inside the header, so that no two pairs read alike.
std::string associated_data(std::string_view header, std::string_view context) {
  return std::string(header).append(context);
}

}  // namespace

KeyRing::KeyRing(std::vector<Key> keys, Random& random)
    : keys_(std::move(keys)), random_(&random) {}

Result<KeyRing> KeyRing::parse(const Secret& text, Random& random) {
  const auto refuse = [](std::size_t line, std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, std::format("key ring, line {}: {}", line, what));
  };
  std::vector<Key> keys;
  std::string_view rest = text.reveal();
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;

    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return refuse(number, "is not '<id> <key>'");
    const std::string_view id = line.substr(0, space);
    if (id.empty() || id.size() > kMaxKeyIdSize ||
        id.find_first_not_of(kIdDigits) != std::string_view::npos) {
      return refuse(number, "the id is not 1 to 32 of [A-Za-z0-9.-]");
    }
    auto bytes = from_base64url(line.substr(space + 1));
    if (!bytes || bytes->size() != kKeySize) {
      return refuse(number, "the key is not 32 bytes as 43 characters of base64url");
    }
    if (*bytes == std::string(kKeySize, '\0')) return refuse(number, "the key is all zero");
    if (std::ranges::contains(keys, id, &Key::id)) return refuse(number, "the id stands twice");
    if (keys.size() == kMaxKeys) return refuse(number, "more than 64 keys");
    keys.push_back({std::string(id), Secret(*std::move(bytes))});
  }
  if (keys.empty()) return fail(ErrorCode::kInvalidArgument, "key ring: there is no key in it");
  return KeyRing(std::move(keys), random);
}

Result<std::string> KeyRing::seal(std::string_view plain, std::string_view context) const {
  if (plain.size() > kMaxPlainSize || context.size() > kMaxPlainSize) {
    return fail(Error(ErrorCode::kInvalidArgument,
                      std::format("more than {} bytes cannot be sealed at once", kMaxPlainSize))
                    .with_reason("too_large_to_seal"));
  }
  const Key& key = keys_.back();
  std::string header{kVersion, static_cast<char>(key.id.size())};
  header += key.id;
  std::string nonce(kNonceSize, '\0');
  random_->fill(std::as_writable_bytes(std::span(nonce)));
  const std::string associated = associated_data(header, context);

  std::string cipher(plain.size(), '\0');
  std::string tag(kTagSize, '\0');
  int size = 0;
  CipherContextPtr ctx(EVP_CIPHER_CTX_new());
  // With sizes checked above nothing here can fail but OpenSSL itself.
  SLUICE_CHECK(ctx != nullptr &&
               EVP_EncryptInit_ex(ctx.get(), EVP_aes_256_gcm(), nullptr,
                                  bytes_of(std::string_view(key.bytes.reveal())),
                                  bytes_of(std::string_view(nonce))) == 1 &&
               EVP_EncryptUpdate(ctx.get(), nullptr, &size, bytes_of(std::string_view(associated)),
                                 static_cast<int>(associated.size())) == 1 &&
               EVP_EncryptUpdate(ctx.get(), bytes_of(cipher), &size, bytes_of(plain),
                                 static_cast<int>(plain.size())) == 1 &&
               EVP_EncryptFinal_ex(ctx.get(), bytes_of(tag), &size) == 1 &&
               EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_GET_TAG, kTagSize, tag.data()) == 1);
  return header + nonce + cipher + tag;
}

Result<Secret> KeyRing::open(std::string_view sealed, std::string_view context) const {
  const auto refuse = [] {
    return fail(Error(ErrorCode::kDataLoss, "a sealed value is damaged or belongs elsewhere")
                    .with_reason("not_authentic"));
  };
  const auto parts = split(sealed);
  if (!parts || context.size() > kMaxPlainSize) return refuse();
  const auto key = std::ranges::find(keys_, parts->key_id, &Key::id);
  if (key == keys_.end()) {
    return fail(Error(ErrorCode::kNotFound, "the key that sealed this value is not in the key ring")
                    .with_reason("unknown_key"));
  }
  const std::string associated = associated_data(parts->header, context);
  std::string tag(parts->tag);
  std::string plain(parts->cipher.size(), '\0');
  int size = 0;
  CipherContextPtr ctx(EVP_CIPHER_CTX_new());
  SLUICE_CHECK(ctx != nullptr);
  const bool is_authentic =
      EVP_DecryptInit_ex(ctx.get(), EVP_aes_256_gcm(), nullptr,
                         bytes_of(std::string_view(key->bytes.reveal())),
                         bytes_of(parts->nonce)) == 1 &&
      EVP_DecryptUpdate(ctx.get(), nullptr, &size, bytes_of(std::string_view(associated)),
                        static_cast<int>(associated.size())) == 1 &&
      EVP_DecryptUpdate(ctx.get(), bytes_of(plain), &size, bytes_of(parts->cipher),
                        static_cast<int>(parts->cipher.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(ctx.get(), bytes_of(tag), &size) == 1;
  if (!is_authentic) {
    take_openssl_error();
    wipe(plain);
    return refuse();
  }
  return Secret(std::move(plain));
}

std::string KeyRing::key_id_of(std::string_view sealed) {
  const auto parts = split(sealed);
  return parts ? std::string(parts->key_id) : std::string();
}

const std::string& KeyRing::newest_key_id() const { return keys_.back().id; }

}  // namespace sluice::crypto
