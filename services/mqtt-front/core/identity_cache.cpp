#include "core/identity_cache.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/device/v1/device_registry.pb.h>

namespace sluice::front {

namespace {

using Scope = DeviceChange::Scope;

struct KeyHash {
  std::size_t operator()(const CredentialKey& key) const {
    // A SHA-256 is as good as any hash of it.
    std::size_t hash = 0;
    std::memcpy(&hash, key.data(), sizeof hash);
    return hash;
  }
};

/// A thing that identities depend on, spelled as the key of control.devices.
std::string subject(Scope scope, std::string_view tenant, std::string_view name) {
  std::string out(tenant);
  switch (scope) {
    case Scope::kDevice:
      return out.append("/").append(name);
    case Scope::kDeviceClass:
      return out.append("/$class/").append(name);
    case Scope::kTopicPolicy:
      return out.append("/$policy/").append(name);
    case Scope::kTenant:
      return out.append("/$tenant");
  }
  return out;
}

constexpr std::array<Scope, 4> kScopes = {Scope::kDevice, Scope::kDeviceClass, Scope::kTopicPolicy,
                                          Scope::kTenant};

/// In the order of kScopes: the device first.
std::array<std::string, 4> subjects_of(const Identity& identity) {
  const std::string& tenant = identity.tenant.value();
  return {subject(Scope::kDevice, tenant, identity.device.value()),
          subject(Scope::kDeviceClass, tenant, identity.device_class.value()),
          subject(Scope::kTopicPolicy, tenant, identity.topic_policy),
          subject(Scope::kTenant, tenant, {})};
}

/// What was last heard of things, for answers that were under way meanwhile. Bounded: the oldest
/// are forgotten, and with them the certainty about answers to questions from before.
class ChangeNotes {
 public:
  explicit ChangeNotes(std::size_t max) : max_(max) {}

  /// Now, as a place in the order of changes.
  std::uint64_t position() const { return position_; }

  /// False when a state at least as late is known.
  bool note(const std::string& subject, const DeviceChange& change, bool invalidates) {
    Note& known = notes_[subject];
    if (!change.is_gone && change.revision <= known.revision) return false;
    known.revision = std::max(known.revision, change.revision);
    known.is_gone = change.is_gone;
    ++position_;
    if (invalidates) known.invalidated_at = position_;
    known.noted_at = position_;
    order_.emplace_back(position_, subject);
    while (order_.size() > max_) forget_oldest();
    return true;
  }

  /// Whether an identity that was asked for at `asked_at` may be of before a change.
  bool is_outdated(const Identity& identity, std::uint64_t asked_at) const {
    if (forgotten_until_ > asked_at) return true;
    const auto subjects = subjects_of(identity);
    for (std::size_t i = 0; i < kScopes.size(); ++i) {
      const auto found = notes_.find(subjects[i]);
      if (found == notes_.end()) continue;
      const Note& known = found->second;
      const std::int64_t revision = known_revision(kScopes[i], identity);
      if ((i == 0 || revision != 0) && !known.is_gone) {
        // The registry may read from a replica that lags: its revision tells, whenever it was
        // asked.
        if (known.revision > revision) return true;
      } else if (known.invalidated_at > asked_at) {
        return true;
      }
    }
    return false;
  }

  /// Whether one that was handed out at `since` may be of before a change.
  bool has_changed(const Identity& identity, std::uint64_t since) const {
    if (position_ == since) return false;
    if (forgotten_until_ > since) return true;
    const auto subjects = subjects_of(identity);
    for (std::size_t i = 0; i < kScopes.size(); ++i) {
      const auto found = notes_.find(subjects[i]);
      if (found == notes_.end() || found->second.invalidated_at <= since) continue;
      const std::int64_t revision = known_revision(kScopes[i], identity);
      if (found->second.is_gone || revision == 0 || found->second.revision > revision) return true;
    }
    return false;
  }

 private:
  struct Note {
    std::int64_t revision = 0;
    std::uint64_t invalidated_at = 0;
    std::uint64_t noted_at = 0;
    bool is_gone = false;
  };

  void forget_oldest() {
    const auto [at, name] = std::move(order_.front());
    order_.pop_front();
    const auto found = notes_.find(name);
    if (found == notes_.end() || found->second.noted_at != at) return;  // noted again later
    forgotten_until_ = std::max(forgotten_until_, found->second.invalidated_at);
    notes_.erase(found);
  }

  const std::size_t max_;
  std::unordered_map<std::string, Note> notes_;
  std::deque<std::pair<std::uint64_t, std::string>> order_;
  std::uint64_t position_ = 0;
  std::uint64_t forgotten_until_ = 0;
};

/// Refusals, oldest first out.
class Refusals {
 public:
  explicit Refusals(std::size_t max) : max_(max) {}

  void put(const CredentialKey& key, int reason, MonoTime until) {
    const auto [place, is_new] = refusals_.insert_or_assign(key, Refusal{reason, until});
    if (!is_new) return;
    order_.push_back(key);
    while (order_.size() > max_) {
      refusals_.erase(order_.front());
      order_.pop_front();
    }
  }
  const int* find(const CredentialKey& key, MonoTime now) const {
    const auto found = refusals_.find(key);
    return found == refusals_.end() || found->second.until <= now ? nullptr : &found->second.reason;
  }
  std::size_t size() const { return refusals_.size(); }

 private:
  struct Refusal {
    int reason;
    MonoTime until;
  };
  const std::size_t max_;
  std::unordered_map<CredentialKey, Refusal, KeyHash> refusals_;
  std::deque<CredentialKey> order_;
};

}  // namespace

struct IdentityCache::State {
  struct Entry {
    CredentialKey key{};
    IdentityPtr identity{};
    MonoTime fresh_until{};
    MonoTime stale_until{};
  };
  using Place = std::list<Entry>::iterator;
  struct Question {
    std::uint64_t asked_at = 0;  // ChangeNotes::position()
    std::vector<Waiter> waiters{};
  };

  explicit State(const Settings& with)
      : settings(with), notes(with.max_changes), refusals(with.max_refusals) {}

  const Settings settings;
  mutable std::mutex mutex;  // guards all that follows
  std::list<Entry> entries;  // least recently used first
  std::unordered_map<CredentialKey, Place, KeyHash> by_key;
  std::unordered_map<std::string, std::unordered_set<const Entry*>> by_subject;
  ChangeNotes notes;
  Refusals refusals;
  std::unordered_map<CredentialKey, Question, KeyHash> questions;
  std::size_t waiters = 0;
  /// Since a question went unanswered and until the next answer to any: when a known device is to
  /// be asked about again.
  std::optional<MonoTime> next_trial{};
  Stats stats{};

  void erase(Place place) {
    for (const std::string& name : subjects_of(*place->identity)) {
      const auto found = by_subject.find(name);
      found->second.erase(&*place);
      if (found->second.empty()) by_subject.erase(found);
    }
    by_key.erase(place->key);
    entries.erase(place);
  }
  void erase(const CredentialKey& key) {
    const auto found = by_key.find(key);
    if (found != by_key.end()) erase(found->second);
  }

  void store(const CredentialKey& key, const IdentityPtr& identity, MonoTime now) {
    erase(key);
    if (settings.max_identities == 0) return;
    if (entries.size() >= settings.max_identities) {
      erase(entries.begin());
      ++stats.evicted;
    }
    const std::chrono::seconds ttl = identity->cache_ttl_seconds == 0
                                         ? settings.default_ttl
                                         : std::chrono::seconds(identity->cache_ttl_seconds);
    const Place place =
        entries.insert(entries.end(), Entry{.key = key,
                                            .identity = identity,
                                            .fresh_until = now + std::min(ttl, settings.max_ttl),
                                            .stale_until = now + settings.stale_max});
    by_key.emplace(key, place);
    for (std::string& name : subjects_of(*identity)) by_subject[std::move(name)].insert(&*place);
  }

  /// The entry of a credential that has not run out, moved to where it is evicted last.
  Entry* find(const CredentialKey& key, Now now) {
    const auto found = by_key.find(key);
    if (found == by_key.end()) return nullptr;
    const Place place = found->second;
    if (place->identity->has_expired(now.wall)) {
      erase(place);
      return nullptr;
    }
    entries.splice(entries.end(), entries, place);
    return &*place;
  }

  Verdict stale_verdict(const Entry& entry) {
    ++stats.stale_served;
    return {.kind = Verdict::Kind::kIdentity,
            .identity = entry.identity,
            .is_stale = true,
            .position = notes.position()};
  }

  /// Ends the question; its waiters are to be told without the lock.
  Question take_question(const CredentialKey& key) {
    const auto found = questions.find(key);
    SLUICE_CHECK(found != questions.end());
    Question question = std::move(found->second);
    questions.erase(found);
    waiters -= question.waiters.size();
    return question;
  }

  static void tell(Question& question, const Verdict& verdict) {
    for (Waiter& waiter : question.waiters) waiter(verdict);
  }
};

IdentityCache::IdentityCache(const Settings& settings)
    : state_(std::make_unique<State>(settings)) {}

IdentityCache::~IdentityCache() = default;

IdentityCache::Begun IdentityCache::begin(const CredentialKey& key, Now now, Waiter& waiter) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const State::Entry* entry = state.find(key, now);
  if (entry != nullptr && now.mono < entry->fresh_until) {
    ++state.stats.hits;
    return {.step = Begun::Step::kAnswered,
            .verdict = {.kind = Verdict::Kind::kIdentity,
                        .identity = entry->identity,
                        .position = state.notes.position()}};
  }
  if (const int* refusal = state.refusals.find(key, now.mono)) {
    ++state.stats.refused_hits;
    return {.step = Begun::Step::kAnswered,
            .verdict = {.kind = Verdict::Kind::kRefused, .refusal = *refusal}};
  }
  const bool is_known = entry != nullptr && now.mono < entry->stale_until;
  if (is_known && state.next_trial && now.mono < *state.next_trial) {
    return {.step = Begun::Step::kAnswered, .verdict = state.stale_verdict(*entry)};
  }
  if (const auto found = state.questions.find(key); found != state.questions.end()) {
    if (state.waiters >= state.settings.max_waiters) return {};
    ++state.waiters;
    ++state.stats.joined;
    found->second.waiters.push_back(std::move(waiter));
    return {.step = Begun::Step::kWait};
  }
  if (state.questions.size() >= state.settings.max_questions) return {};
  ++state.stats.misses;
  state.questions[key].asked_at = state.notes.position();
  // This one is the trial.
  if (is_known && state.next_trial) state.next_trial = now.mono + state.settings.failure_pause;
  return {.step = Begun::Step::kAsk, .is_known = is_known};
}

Verdict IdentityCache::complete(const CredentialKey& key, IdentityPtr identity, Now now) {
  State& state = *state_;
  Verdict verdict;
  std::unique_lock lock(state.mutex);
  state.next_trial.reset();
  const auto found = state.questions.find(key);
  SLUICE_CHECK(found != state.questions.end());
  const bool has_expired = identity->has_expired(now.wall);
  if (!has_expired && state.notes.is_outdated(*identity, found->second.asked_at)) {
    ++state.stats.outdated_answers;
    found->second.asked_at = state.notes.position();
    verdict.kind = Verdict::Kind::kAskAgain;
    return verdict;
  }
  State::Question question = state.take_question(key);
  if (has_expired) {
    state.erase(key);
    verdict.kind = Verdict::Kind::kRefused;
    verdict.refusal = device::v1::REFUSAL_REASON_CREDENTIAL_EXPIRED;
  } else {
    state.store(key, identity, now.mono);
    verdict.kind = Verdict::Kind::kIdentity;
    verdict.identity = std::move(identity);
    verdict.position = state.notes.position();
  }
  lock.unlock();
  State::tell(question, verdict);
  return verdict;
}

Verdict IdentityCache::complete_refused(const CredentialKey& key, int refusal, Now now) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.next_trial.reset();
  State::Question question = state.take_question(key);
  state.erase(key);  // not even when the registry is down
  state.refusals.put(key, refusal, now.mono + state.settings.refusal_ttl);
  lock.unlock();
  const Verdict verdict{.kind = Verdict::Kind::kRefused, .refusal = refusal};
  State::tell(question, verdict);
  return verdict;
}

Verdict IdentityCache::complete_unusable(const CredentialKey& key) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.next_trial.reset();
  State::Question question = state.take_question(key);
  state.erase(key);
  lock.unlock();
  const Verdict verdict{.kind = Verdict::Kind::kUnavailable};
  State::tell(question, verdict);
  return verdict;
}

Verdict IdentityCache::fail(const CredentialKey& key, Now now) {
  State& state = *state_;
  Verdict verdict;
  std::unique_lock lock(state.mutex);
  state.next_trial = now.mono + state.settings.failure_pause;
  State::Question question = state.take_question(key);
  if (const State::Entry* entry = state.find(key, now);
      entry != nullptr && now.mono < entry->stale_until) {
    verdict = state.stale_verdict(*entry);
  }
  lock.unlock();
  State::tell(question, verdict);
  return verdict;
}

bool IdentityCache::on_change(const DeviceChange& change) {
  State& state = *state_;
  const std::string name = subject(change.scope, change.tenant, change.name);
  // An active tenant's record takes nothing from its devices.
  const bool invalidates = change.scope != Scope::kTenant || !change.end_reason.empty();
  const std::lock_guard lock(state.mutex);
  if (!state.notes.note(name, change, invalidates)) return false;
  const auto found = state.by_subject.find(name);
  if (!invalidates || found == state.by_subject.end()) return true;
  std::vector<CredentialKey> ended;
  for (const State::Entry* entry : found->second) {
    if (!knows(*entry->identity, change)) ended.push_back(entry->key);
  }
  for (const CredentialKey& key : ended) state.erase(key);
  state.stats.ended_by_change += ended.size();
  return true;
}

bool IdentityCache::has_changed(const Identity& identity, std::uint64_t since) const {
  const std::lock_guard lock(state_->mutex);
  return state_->notes.has_changed(identity, since);
}

IdentityCache::Stats IdentityCache::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats = state_->stats;
  stats.identities = state_->entries.size();
  stats.refusals = state_->refusals.size();
  stats.questions = state_->questions.size();
  stats.waiters = state_->waiters;
  return stats;
}

}  // namespace sluice::front
