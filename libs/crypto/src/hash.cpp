#include <sluice/crypto/hash.h>

#include "openssl.h"

#include <limits>

#include <sluice/base/check.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace sluice::crypto {

std::string sha256(std::string_view bytes) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  // It can only fail when OpenSSL itself is broken.
  SLUICE_CHECK(SHA256(bytes_of(bytes), bytes.size(), bytes_of(out)) != nullptr);
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  SLUICE_CHECK(key.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  // OpenSSL takes a null key for "the key of the last call", which a view of nothing could be.
  static constexpr char kNoKey = 0;
  const void* key_bytes = key.empty() ? &kNoKey : key.data();
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  unsigned size = 0;
  SLUICE_CHECK(HMAC(EVP_sha256(), key_bytes, static_cast<int>(key.size()), bytes_of(bytes),
                    bytes.size(), bytes_of(out), &size) != nullptr);
  SLUICE_CHECK(size == out.size());
  return out;
}

void wipe(std::string& text) {
  // The whole allocation: what was cut off earlier may still lie behind the end.
  text.resize(text.capacity());
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace sluice::crypto
