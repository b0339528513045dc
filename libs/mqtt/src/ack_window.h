#pragma once

#include "ring.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/mqtt/connection.h>

namespace sluice::mqtt {

/// The QoS 1 and 2 publishes of a client between their coming and their PUBACK or PUBREC, which
/// leave in the order of the publishes, [MQTT5-4.6.0-2] and [MQTT5-4.6.0-3], whatever the order in
/// which they are finished.
class AckWindow {
 public:
  /// `next`: what the first publish is named; only tests want another.
  explicit AckWindow(PublishId next = 1) : first_(next), next_(next) {}

  /// An entry whose finish() is awaited.
  PublishId push(Qos qos, std::uint16_t packet_id);
  /// An entry that only waits for its turn: a publish seen before, or refused at once.
  void push_finished(Qos qos, std::uint16_t packet_id, ReasonCode reason);
  /// A QoS 2 publish that came again while the first waits for finish(): it gets the same answer.
  void push_repeated(std::uint16_t packet_id);

  struct Finished {
    Qos qos;
    std::uint16_t packet_id;
  };
  /// What was finished. `id` is one that push() gave and that was not finished before.
  Finished finish(PublishId id, ReasonCode reason, std::string_view reason_string);

  struct Answer {
    Qos qos;
    std::uint16_t packet_id;
    ReasonCode reason;
    std::string reason_string{};
  };
  /// The answer whose turn it is, if it is there.
  std::optional<Answer> take();

  std::size_t size() const { return entries_.size(); }
  bool is_awaited_qos2(std::uint16_t packet_id) const;
  std::size_t awaited_qos2() const { return awaited_qos2_; }
  /// Entries that count in the receive maximum: all but QoS 2 ones that were finished well, which
  /// the session's packet ids stand for.
  std::size_t open() const { return open_; }

  void release_memory();
  /// What it points to.
  void prefetch() const { entries_.prefetch(); }

 private:
  enum class State : std::uint8_t { kAwaited, kRepeated, kFinished };
  struct Entry {
    std::uint16_t packet_id = 0;
    Qos qos = Qos::kAtLeastOnce;
    State state = State::kAwaited;
    ReasonCode reason = ReasonCode::kSuccess;
    bool has_string = false;
    bool is_open = false;
  };
  struct Text {
    PublishId id;
    std::string text;
  };

  PublishId push(const Entry& entry);
  void close(Entry& entry);

  Ring<Entry> entries_;
  PublishId first_;  // of the entry at the front
  PublishId next_;
  std::size_t awaited_qos2_ = 0;
  std::size_t repeated_ = 0;
  std::size_t open_ = 0;
  std::vector<Text> texts_;  // rare: only refusals have one
};

}  // namespace sluice::mqtt
