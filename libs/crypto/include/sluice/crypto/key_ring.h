#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/config/settings.h>

namespace sluice::crypto {

/// Keys for secrets that must be stored and read back (PSKs, webhook passwords): AES-256-GCM,
/// several keys at once so that they can be rotated. The text of the ring has one key a line,
///     <id> <43 characters of base64url: 32 random bytes>
/// oldest first; empty lines and lines starting with '#' are skipped. The last key seals, every key
/// opens. To rotate: append a line, restart, reseal what is stored, remove the old line.
/// Immutable, so thread-safe. `random` must outlive the ring and be SystemRandom outside of tests:
/// a repeated nonce breaks GCM. With random nonces one key is good for 2^32 seals.
class KeyRing {
 public:
  /// Refuses an empty ring, a repeated id, a key of another size and an all-zero key.
  static Result<KeyRing> parse(const Secret& text, Random& random);

  /// `context` says what the value belongs to ("device_registry/psk/<tenant>/<device>"); it is
  /// authenticated but not stored, so that a sealed value moved to another row does not open there.
  /// kInvalidArgument with reason "too_large_to_seal" past kMaxSealedSize: how much there is to
  /// seal may depend on what somebody sent.
  Result<std::string> seal(std::string_view plain, std::string_view context) const;
  /// Far below the 2^31 at which OpenSSL's lengths end, far above what one value should be.
  static constexpr std::size_t kMaxSealedSize = std::size_t{64} << 20;  // bytes of the plain value

  /// The plain value. kNotFound with reason "unknown_key" for a key no longer in the ring,
  /// otherwise kDataLoss with reason "not_authentic" for anything that was not sealed for this
  /// context.
  Result<Secret> open(std::string_view sealed, std::string_view context) const;

  /// Which key sealed a value; empty for what is no sealed value. Tells what is left to reseal.
  static std::string key_id_of(std::string_view sealed);
  const std::string& newest_key_id() const;

 private:
  struct Key {
    std::string id;
    Secret bytes;
  };

  KeyRing(std::vector<Key> keys, Random& random);

  std::vector<Key> keys_;
  Random* random_;
};

}  // namespace sluice::crypto
