#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/random.h>
#include <sluice/mqtt/message.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {

/// The retained message of each topic. Single-threaded. Knows no time: expired messages are there
/// until sweep() is told to remove them, and RetainedCursor's visitor passes them over.
class RetainedIndex {
 public:
  struct Limits {
    std::size_t max_messages = 1'000'000;
    std::size_t max_bytes = std::size_t{1} << 30;  // of what set() was told
    TopicLimits topics{};
  };
  /// `random` is asked now for the key of the hashes; it may end afterwards.
  RetainedIndex(const Limits& limits, Random& random);
  /// Its cursors must have ended.
  ~RetainedIndex();
  RetainedIndex(const RetainedIndex&) = delete;
  RetainedIndex& operator=(const RetainedIndex&) = delete;

  enum class Stored : std::uint8_t {
    kNew,
    kReplaced,
    kInvalid,  // not a topic, see is_valid_topic()
    kFull,     // a limit is reached; what was retained before is kept
  };
  /// `bytes` is what the message counts for, such as Message::size_bytes(). An empty payload, which
  /// clears by [MQTT5-3.3.1-6], is for the caller to see: clear().
  Stored set(std::string_view topic, MessagePtr message, std::size_t bytes);
  /// Whether there was one.
  bool clear(std::string_view topic);
  /// nullptr: none.
  MessagePtr find(std::string_view topic) const;

  /// Looks at the next `limit` places, going around and around, and removes the messages for which
  /// `remove(const Message&)` is true. Returns how many that were. Done once every `places()` steps
  /// each message was looked at.
  template <typename Remove>
  std::size_t sweep(std::size_t limit, Remove remove) {
    return sweep_with(
        limit,
        [](void* context, const Message& message) -> bool {
          return (*static_cast<Remove*>(context))(message);
        },
        &remove);
  }
  std::size_t places() const;

  std::size_t size() const;
  std::size_t bytes() const;
  /// What the index itself holds of the heap, messages not counted.
  std::size_t memory_bytes() const;

 private:
  friend class RetainedCursor;
  using Decide = bool (*)(void* context, const Message& message);
  std::size_t sweep_with(std::size_t limit, Decide remove, void* context);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All retained messages whose topic matches a filter, a few at a time: `#` over a million topics
/// must not hold up a loop. The index may change between the calls. A message that is there all the
/// time comes exactly once; one set, replaced or cleared meanwhile comes once or not at all, and if
/// it comes, as it then is. It ends however much is set meanwhile, except below topics that
/// it has still to come to.
class RetainedCursor {
 public:
  /// `filter` must be valid, without `$share/`: shared subscriptions get no retained messages,
  /// [MQTT5-3.8.4]. The index must outlive the cursor.
  RetainedCursor(RetainedIndex& index, std::string_view filter);
  ~RetainedCursor();
  RetainedCursor(RetainedCursor&& other) noexcept;
  RetainedCursor& operator=(RetainedCursor&& other) noexcept;

  /// Takes up to `limit` steps through the trie, each of which finds at most one message; calls
  /// `visit(const MessagePtr&)` for each found. Whether there is more to come. The visitor must not
  /// change the index.
  template <typename Visit>
  bool next(std::size_t limit, Visit visit) {
    return next_with(
        limit,
        [](void* context, const MessagePtr& message) { (*static_cast<Visit*>(context))(message); },
        &visit);
  }
  bool done() const { return index_ == nullptr; }

 private:
  using Call = void (*)(void* context, const MessagePtr& message);
  bool next_with(std::size_t limit, Call call, void* context);
  void end();
  bool go_to_sibling();
  bool is_wild(std::size_t level) const;
  std::string_view level_text(std::size_t level) const;

  RetainedIndex* index_;  // nullptr: at the end
  std::string filter_;
  // Of its levels, and one for the end, which may be one beyond the longest filter.
  std::array<std::uint32_t, kWidestTopics.max_levels + 1> starts_{};
  std::uint8_t levels_ = 0;  // without `#`
  bool has_hash_ = false;
  std::uint8_t depth_ = 0;
  std::uint32_t node_ = 0;  // the one to look at next; the index keeps it as long as we are here
};

}  // namespace sluice::mqtt
