#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>

namespace sluice::net {

/// What one line of the key file becomes: the parts that RFC 5077 recommends, derived so that every
/// pod gets the same. Wiped when it goes.
struct TicketKey {
  std::array<unsigned char, 16> name{};
  std::array<unsigned char, 32> aes{};  // these two: OpenSSL's form of tickets
  std::array<unsigned char, 32> hmac{};
  std::array<unsigned char, 32> seal{};  // AWS-LC's

  static TicketKey from_secret(std::string_view secret);
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();
};

/// Oldest first, the last encrypts. Never empty.
using TicketKeys = std::vector<TicketKey>;

/// The keys of session tickets, from a shared file or random and rotated. Thread-safe.
class TicketKeyStore {
 public:
  /// `file` may be empty. `clock` and `random` must outlive it.
  static Result<std::unique_ptr<TicketKeyStore>> open(std::string file,
                                                      std::chrono::seconds lifetime,
                                                      const Clock& clock, Random& random);

  /// Never null. Shared with handshakes that are using it.
  std::shared_ptr<const TicketKeys> current() const;
  Result<bool> reload_if_changed();

 private:
  TicketKeyStore(std::string file, std::chrono::seconds lifetime, const Clock& clock,
                 Random& random);
  TicketKey random_key();

  const std::string file_;
  const std::chrono::seconds lifetime_;
  const Clock& clock_;
  Random& random_;
  std::string stamp_;
  MonoTime rotated_{};
  mutable std::mutex mutex_;  // guards current_
  std::shared_ptr<const TicketKeys> current_;
};

/// Reads `<id> <43 characters of base64url>` a line. Refuses an empty list, more than
/// kMaxTicketKeys, a repeated id, a key of another size and an all-zero key; never quotes a key.
Result<TicketKeys> parse_ticket_keys(std::string_view text);

/// A rotation every hour that keeps a day of keys, with room; each costs a comparison per ticket.
inline constexpr std::size_t kMaxTicketKeys = 32;

}  // namespace sluice::net
