#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/base/ids.h>
#include <sluice/base/result.h>

namespace sluice::http {

/// How long a key is remembered.
inline constexpr std::chrono::hours kIdempotencyKeyLife{24};

/// The Idempotency-Key of a POST and what it belongs to. Two callers' equal keys never meet.
struct IdempotencyKey {
  TenantId tenant;
  std::string subject;       // the caller: Principal::identity(), as a name is not one's alone
  std::string key;           // 1 to 128 printable ASCII characters, chosen by the caller
  std::string request_hash;  // SHA-256 of method, target and body, hex

  bool operator==(const IdempotencyKey&) const = default;
};

/// The answer to give again.
struct StoredResponse {
  int status = 0;
  std::string content_type;
  std::string location;
  std::string etag;
  std::string body;

  bool operator==(const StoredResponse&) const = default;
};

/// Port: remembers POSTs for kIdempotencyKeyLife. Called from any thread.
///
/// The server calls begin() before the handler and complete() or abandon() after it. Between a
/// handler's commit and complete() the process may die; a handler that must never be run twice
/// therefore calls complete() itself inside its own transaction (Request::idempotency_key), and the
/// server's call, which then finds it done, changes nothing.
class IdempotencyStore {
 public:
  enum class State : std::uint8_t {
    kFresh,       // nobody had this key: it is now in progress and ours
    kReplay,      // it was completed with the same request: give `response` again
    kMismatch,    // it was used for another request: 422
    kInProgress,  // another thread or pod is at it: 409
  };
  struct Begin {
    State state = State::kFresh;
    StoredResponse response{};  // kReplay
  };

  virtual ~IdempotencyStore() = default;
  virtual Result<Begin> begin(const IdempotencyKey& key) = 0;
  virtual Result<> complete(const IdempotencyKey& key, const StoredResponse& response) = 0;
  /// The handler changed nothing and may be tried again: forget the key.
  virtual Result<> abandon(const IdempotencyKey& key) = 0;
};

}  // namespace sluice::http
