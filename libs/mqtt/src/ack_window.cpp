#include "ack_window.h"

#include <algorithm>

namespace sluice::mqtt {

namespace {

/// Names go round, and 0 is none.
PublishId after(PublishId id) { return id + 1 == 0 ? 1 : id + 1; }

std::size_t distance(PublishId from, PublishId to) {
  return to >= from ? to - from : to - from - 1;
}

}  // namespace

PublishId AckWindow::push(const Entry& entry) {
  entries_.push_back(entry);
  if (entry.is_open) ++open_;
  return std::exchange(next_, after(next_));
}

PublishId AckWindow::push(Qos qos, std::uint16_t packet_id) {
  if (qos == Qos::kExactlyOnce) ++awaited_qos2_;
  return push(Entry{.packet_id = packet_id, .qos = qos, .is_open = true});
}

void AckWindow::push_finished(Qos qos, std::uint16_t packet_id, ReasonCode reason) {
  push(Entry{.packet_id = packet_id, .qos = qos, .state = State::kFinished, .reason = reason});
}

void AckWindow::push_repeated(std::uint16_t packet_id) {
  ++repeated_;
  push(Entry{.packet_id = packet_id, .qos = Qos::kExactlyOnce, .state = State::kRepeated});
}

void AckWindow::close(Entry& entry) {
  if (entry.is_open) --open_;
  entry.is_open = false;
}

AckWindow::Finished AckWindow::finish(PublishId id, ReasonCode reason,
                                      std::string_view reason_string) {
  const std::size_t index = distance(first_, id);
  SLUICE_CHECK(index < entries_.size() && entries_[index].state == State::kAwaited);
  Entry& entry = entries_[index];
  entry.state = State::kFinished;
  entry.reason = reason;
  if (!reason_string.empty()) {
    entry.has_string = true;
    texts_.push_back({.id = id, .text = std::string(reason_string)});
  }
  if (entry.qos == Qos::kExactlyOnce) {
    --awaited_qos2_;
    if (!is_failure(reason)) close(entry);
    for (std::size_t i = index + 1; repeated_ > 0 && i < entries_.size(); ++i) {
      Entry& later = entries_[i];
      if (later.state != State::kRepeated || later.packet_id != entry.packet_id) continue;
      later.state = State::kFinished;
      later.reason = reason;
      --repeated_;
    }
  }
  return {.qos = entry.qos, .packet_id = entry.packet_id};
}

std::optional<AckWindow::Answer> AckWindow::take() {
  if (entries_.empty() || entries_.front().state != State::kFinished) return std::nullopt;
  Entry& entry = entries_.front();
  close(entry);
  Answer answer{.qos = entry.qos, .packet_id = entry.packet_id, .reason = entry.reason};
  if (entry.has_string) {
    const auto text = std::ranges::find(texts_, first_, &Text::id);
    answer.reason_string = std::move(text->text);
    texts_.erase(text);
  }
  entries_.pop_front();
  first_ = after(first_);
  return answer;
}

bool AckWindow::is_awaited_qos2(std::uint16_t packet_id) const {
  if (awaited_qos2_ == 0) return false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.qos == Qos::kExactlyOnce && entry.state == State::kAwaited &&
        entry.packet_id == packet_id) {
      return true;
    }
  }
  return false;
}

void AckWindow::release_memory() {
  if (!entries_.empty()) return;
  entries_.release_memory();
  texts_ = {};
}

}  // namespace sluice::mqtt
