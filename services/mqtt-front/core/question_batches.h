#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/device/v1/device_registry.pb.h>

namespace sluice::front {

/// Lets questions to the registry share calls: a storm of devices costs it and us a call for many
/// of them instead of one each, and the more they wait the less each costs.
///
/// Nothing waits for company. A question goes at once while few calls are under way; what comes
/// while there are as many as may be goes together as soon as one of them is answered, whose turn
/// is next by its deadline. Each question ends by its own deadline, whatever becomes of the call
/// that it is in, and each is answered by itself: one that the registry cannot make sense of fails
/// alone.
///
/// A registry that knows no such calls (it is of an older version, in the middle of an upgrade) is
/// asked singly for a while, without a bound on calls, as if this were not here.
///
/// Bounded by whoever asks: see IdentityCache::Settings::max_questions. Thread-safe; no I/O.
class QuestionBatches {
 public:
  using Question = device::v1::AuthenticateRequest;
  using Answer = Result<device::v1::AuthenticateResponse>;
  /// Has its question back with the answer to it. Called exactly once, on any thread, and may ask
  /// again.
  using Done = std::move_only_function<void(Question, const Answer&)>;

  struct Limits {
    /// Under way at once, to a registry that answers. Few, or a storm would be spread over many
    /// small calls; more than one, so that it has the next when it has answered one.
    std::size_t calls = 4;
    std::size_t questions = 64;     // of a call; the registry takes no more
    std::size_t bytes = 64 * 1024;  // the same; one question that is larger goes by itself
    /// A call without an answer for this long keeps no others from going: one of several registries
    /// that hangs must not hold up those that would be answered by the others.
    std::chrono::milliseconds slow{500};
    /// How long it is asked singly after it did not know the call. Of an upgrade, which takes
    /// minutes, a part; a call in vain each time is all that it costs.
    std::chrono::seconds singly{30};
  };

  /// A call to be made. answered() must follow, from any thread, be it before this was returned
  /// from.
  struct Call {
    std::uint64_t id = 0;
    std::vector<Question> questions{};  // one: to be asked as a registry of any version can be
    std::chrono::milliseconds timeout{};
  };
  using MakeCall = std::function<void(Call)>;

  QuestionBatches(const Limits& limits, const Clock& clock, MakeCall make_call);

  void ask(Question question, MonoTime deadline, Done done);
  /// What became of a call: the answers to its questions, in their order, or why there are none.
  /// Where there are fewer, the rest is asked again.
  void answered(std::uint64_t call, Result<std::vector<Answer>> answers);
  /// Ends what has waited for too long. To be called several times a second.
  void tick();

 private:
  struct Asked {
    Question question{};
    MonoTime deadline{};
    Done done{};            // null: it has been answered
    bool is_alone = false;  // its call failed, and that may have been its fault
  };
  struct UnderWay {
    MonoTime since{};
    std::vector<Asked> asked{};
    bool is_slow = false;
  };
  struct Ended {
    Asked asked{};
    Answer answer{};
  };

  // All of these under the lock.
  void put_back(std::span<Asked> questions);
  std::vector<Call> next_calls(MonoTime now);
  Call next_call(std::size_t max_questions, MonoTime now);
  void settle(UnderWay& call, Result<std::vector<Answer>>& answers, MonoTime now,
              std::vector<Ended>& ended);
  bool may_call(MonoTime now) const;

  void make(std::vector<Call> calls);

  const Limits limits_;
  const Clock& clock_;
  const MakeCall make_call_;

  std::mutex mutex_;  // guards all that follows
  std::multimap<MonoTime, Asked> waiting_;
  std::map<std::uint64_t, UnderWay> under_way_;
  std::size_t not_slow_ = 0;  // of those under way
  std::uint64_t last_id_ = 0;
  MonoTime singly_until_ = MonoTime::min();
};

}  // namespace sluice::front
