// The states of devices, which go with their partition: written, read back, handed over.
#include "adapters/raw_handler.h"
#include "adapters/raw_handler_inside.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {

void RawHandler::save_states(Owned& owned, bool is_last) {
  if (!owned.pending.empty()) {
    if (owned.tracker.durable() <= owned.pending_place) return;
    send_pending(owned);
  }
  const MonoTime now = clock_.mono();
  // In the middle of a batch place() is ahead of records that are yet to be judged.
  const bool is_due =
      is_last || now >= owned.next_save || owned.state.devices().evicted() > options_.state_batch;
  if (is_mid_batch_ || !is_due) return;
  owned.pending_place = owned.state.place();
  const std::size_t most = is_last ? std::numeric_limits<std::size_t>::max() : options_.state_batch;
  const auto remove = [&](std::string_view key) {
    if (SLUICE_PLANTED_BUG("validator_deletes_no_state")) return;
    owned.pending.push_back({.key = std::string(key), .value = std::nullopt});
  };
  const std::size_t gone = owned.state.drain_gone(most, remove);
  const std::size_t drained =
      owned.state.drain_dirty(most, [&](std::string_view key, const std::string& value) {
        owned.pending.push_back({.key = std::string(key), .value = value});
      });
  owned.state.forget_silent(most, remove);
  if (gone < most && drained < most) owned.next_save = now + options_.state_interval;
  if (!owned.pending.empty() && owned.tracker.durable() > owned.pending_place) send_pending(owned);
}

void RawHandler::send_pending(Owned& owned) {
  for (const PendingState& state : owned.pending) {
    kafka::Record record{.topic = kStateTopic, .key = state.key, .partition = owned.partition};
    if (state.value) record.value = *state.value;
    if (append(record, kStateToken)) {
      (state.value ? metrics_.states_written : metrics_.states_forgotten).add();
    } else {
      metrics_.unstored.add();
    }
  }
  owned.pending.clear();
}

Result<> RawHandler::restore() {
  std::vector<kafka::Stretch> stretches;
  for (const auto& owned : owned_) {
    if (owned->is_restored) continue;
    stretches.push_back({.partition = {std::string(kStateTopic), owned->partition}});
  }
  std::size_t restored = 0;
  SLUICE_TRY(parts_.states->read(stretches, options_.restore_timeout,
                                 [&](const kafka::RecordView& record) {
                                   Owned* const owned = find(record.partition);
                                   if (owned == nullptr) return true;
                                   if (!record.value) {
                                     owned->state.devices().forget(record.key);
                                   } else if (owned->state.restore(record.key, *record.value)) {
                                     ++restored;
                                   } else {
                                     metrics_.states_unreadable.add();
                                   }
                                   return true;
                                 }));
  for (const auto& owned : owned_) owned->is_restored = true;
  metrics_.states_restored.add(restored);
  return {};
}

// --- Partitions come and go

RawHandler::Owned* RawHandler::find(kafka::Partition partition) {
  const auto found =
      std::ranges::find(owned_, partition, [](const auto& owned) { return owned->partition; });
  return found == owned_.end() ? nullptr : found->get();
}

RawHandler::Owned& RawHandler::add(kafka::Partition partition) {
  remove(partition);
  if (next_ownership_ == 0) next_ownership_ = 1;  // after 65535: 0 is taken
  owned_.push_back(std::make_unique<Owned>(partition, next_ownership_++, options_));
  owned_.back()->state.advance(milliseconds_of(clock_.wall()));
  return *owned_.back();
}

void RawHandler::remove(kafka::Partition partition) {
  std::erase_if(owned_, [&](const auto& owned) { return owned->partition == partition; });
}

Result<std::vector<kafka::StartPosition>> RawHandler::on_assigned(
    std::span<const kafka::TopicPartition> partitions) {
  for (const kafka::TopicPartition& partition : partitions) add(partition.partition);
  if (auto restored = restore(); !restored) {
    for (const kafka::TopicPartition& partition : partitions) remove(partition.partition);
    return fail(std::move(restored).error().context("restore device states"));
  }
  report();
  return std::vector<kafka::StartPosition>{};
}

void RawHandler::on_revoking(std::span<const kafka::TopicPartition> partitions,
                             kafka::ConsumerControl& control) {
  const auto flush = [&] {
    if (const auto flushed = parts_.producer->flush(options_.flush_timeout); !flushed) {
      log_.warning("outputs_unacknowledged", flushed.error());
    }
    take_completions();
  };
  flush();
  for (const kafka::TopicPartition& partition : partitions) {
    Owned* const owned = find(partition.partition);
    if (owned == nullptr) continue;
    if (!is_broken_) {
      save_states(*owned, true);  // what waited
      save_states(*owned, true);
    }
    if (owned->tracker.durable() < 0) continue;
    control.mark_durable(kRawTopic, owned->partition, kafka::Offset(owned->tracker.durable()));
  }
  flush();
  for (const kafka::TopicPartition& partition : partitions) remove(partition.partition);
  report();
}

void RawHandler::on_lost(std::span<const kafka::TopicPartition> partitions) {
  for (const kafka::TopicPartition& partition : partitions) {
    // The log may have been reset beneath us: then records of it follow, and its devices begin
    // anew.
    if (find(partition.partition) != nullptr) add(partition.partition).is_restored = true;
  }
  report();
}

}  // namespace sluice::validator
