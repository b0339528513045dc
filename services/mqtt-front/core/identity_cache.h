#pragma once

#include "core/device_change.h"
#include "core/identity.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include <sluice/base/clock.h>

namespace sluice::front {

/// SHA-256 of everything that a question to the registry says of a device: kind of credential, the
/// credential, and the claimed device. Were the claim left out, the refusal of a wrong claim would
/// be taken for a refusal of the credential.
using CredentialKey = std::array<std::byte, 32>;

/// What is known of a credential.
struct Verdict {
  enum class Kind : std::uint8_t {
    kIdentity,     // it is this device
    kRefused,      // the registry says no
    kUnavailable,  // the registry cannot say and the cache must not: refuse with 0x88
    kAskAgain,     // of before a change that is known: to whoever asked, never to a waiter
  };
  Kind kind = Kind::kUnavailable;
  IdentityPtr identity{};
  int refusal = 0;             // device.v1.RefusalReason
  bool is_stale = false;       // served past its time because the registry could not be asked
  std::uint64_t position = 0;  // of kIdentity, in the order of changes: for has_changed()
};

/// Spares the registry the question at each connect, and the devices its failures. Shared by all
/// loops behind one mutex: it is touched a few times per connect and never per message, and a shard
/// per loop would ask once per loop and apply each change as often. Thread-safe; no I/O.
///
/// A question is asked once however many connections wait for its answer:
///   begin()    kAnswered: done. kAsk: the caller asks the registry and ends the question by one of
///              complete(), complete_refused(), complete_unusable() and fail(), whatever happens.
///              kWait: another one has asked; the waiter is called with its verdict.
///   complete() may say kAskAgain: the question is still the caller's, who asks again after a pause
///              or gives up by fail(). The waiters wait on: each of them asking anew would be a
///              storm where a registry is behind.
/// While the registry does not answer, who is known waits for it once in `failure_pause`, and is
/// otherwise let in by what is remembered without a question: a registry that hangs would else hold
/// everybody up for as long as one may wait.
/// Waiters run on the thread that completes, after the lock is released, and post to their own
/// loop.
class IdentityCache {
 public:
  struct Settings {
    std::size_t max_identities = 200'000;  // about 1 KiB each with a common policy
    /// Kept apart, so that guessed credentials cannot push out good ones.
    std::size_t max_refusals = 20'000;
    std::size_t max_questions = 4096;      // under way at once
    std::size_t max_waiters = 16'384;      // over all questions
    std::size_t max_changes = 65'536;      // remembered for answers that cross them
    std::chrono::seconds default_ttl{60};  // where the registry says none
    std::chrono::seconds max_ttl{3600};    // whatever the registry says
    std::chrono::seconds refusal_ttl{5};
    /// How long an identity may be served while the registry cannot be asked.
    std::chrono::seconds stale_max{std::chrono::hours(24)};
    /// After a question without an answer, for devices that may be served from memory. As long as
    /// a returned registry goes unnoticed.
    std::chrono::milliseconds failure_pause{1000};
  };
  struct Now {
    WallTime wall{};
    MonoTime mono{};
  };
  using Waiter = std::move_only_function<void(const Verdict&)>;

  explicit IdentityCache(const Settings& settings);
  ~IdentityCache();

  struct Begun {
    enum class Step : std::uint8_t { kAnswered, kAsk, kWait, kFull };
    Step step = Step::kFull;  // kFull: too many questions or waiters, refuse with 0x88
    Verdict verdict{};        // of kAnswered
    bool is_known = false;    // of kAsk: fail() would let it in, so it is not to wait for long
  };
  /// `waiter` is taken only with kWait.
  Begun begin(const CredentialKey& key, Now now, Waiter& waiter);
  /// The registry's answer. Returns the verdict that the waiters got too, or kAskAgain.
  Verdict complete(const CredentialKey& key, IdentityPtr identity, Now now);
  Verdict complete_refused(const CredentialKey& key, int refusal, Now now);
  /// The registry's answer makes no sense: its device stays out, also by what was remembered.
  Verdict complete_unusable(const CredentialKey& key);
  /// The registry did not answer, or only with what is of before a change.
  Verdict fail(const CredentialKey& key, Now now);

  /// Forgets what the change makes untrue; costs what it touches. False when a later state of the
  /// same thing is known: live sessions then need not hear of it either.
  bool on_change(const DeviceChange& change);
  /// Whether a change since a verdict's position may have made its identity untrue.
  bool has_changed(const Identity& identity, std::uint64_t since) const;

  struct Stats {
    std::size_t identities = 0;
    std::size_t refusals = 0;
    std::size_t questions = 0;
    std::size_t waiters = 0;
    std::uint64_t hits = 0;
    std::uint64_t refused_hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t joined = 0;  // questions that became one
    std::uint64_t stale_served = 0;
    std::uint64_t evicted = 0;
    std::uint64_t ended_by_change = 0;
    std::uint64_t outdated_answers = 0;
  };
  Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::front
