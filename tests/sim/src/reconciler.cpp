#include "reconciler.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <limits>
#include <tuple>
#include <utility>

namespace sluice::sim {

namespace {

/// Enough to see a pattern in, few enough to be read.
constexpr std::size_t kMaxExamples = 10;

std::uint64_t key_of(std::uint32_t device, std::uint32_t sequence) {
  return std::uint64_t{device} << 32U | sequence;
}

void increase(std::uint8_t& count) {
  if (count < std::numeric_limits<std::uint8_t>::max()) ++count;
}

}  // namespace

bool Completeness::is_complete() const {
  return missing_in_raw == 0 && out_of_order == 0 && foreign == 0 && refused_in_raw == 0 &&
         unjudged == 0 && contradictory == 0 && misjudged == 0 && valid_out_of_order == 0 &&
         samples_missing == 0 && samples_wrong == 0 && samples_duplicated == 0 &&
         samples_foreign == 0;
}

void Completeness::add_example(std::string text) {
  if (examples.size() < kMaxExamples) examples.push_back(std::move(text));
}

Reconciler::Reconciler(const Fleet& fleet, const Ledger& ledger)
    : fleet_(fleet),
      ledger_(ledger),
      in_raw_(fleet.size()),
      copied_(fleet.size()),
      valid_(fleet.size()),
      highest_(fleet.size(), -1),
      copies_(fleet.size()),
      last_valid_(fleet.size(), 0) {}

bool Reconciler::is_late(std::uint32_t device, std::uint32_t sequence) {
  // Of QoS 0 nothing is promised.
  if (fleet_.qos(device, sequence) == mqtt::Qos::kAtMostOnce) return false;
  if (sequence > highest_[device]) {
    highest_[device] = sequence;
    return false;
  }
  // What an earlier connection brought may be before what this one sent again: order is promised
  // for each connection.
  return !ledger_.resent[device].contains(sequence);
}

std::string Reconciler::name(std::uint32_t device, std::uint32_t sequence) const {
  return std::format("message {} of device {}", sequence, device);
}

void Reconciler::on_raw(std::uint32_t device, std::int64_t sequence, std::string_view message_id) {
  ++sum_.raw_records;
  Entry entry{.id = {},
              .device = device,
              .sequence = 0,
              .place = static_cast<std::uint32_t>(entries_.size()),
              .is_first = false};
  if (sequence < 0 || sequence > std::numeric_limits<std::uint32_t>::max() ||
      message_id.size() != entry.id.size() ||
      !ledger_.published[device].contains(static_cast<std::uint32_t>(sequence))) {
    ++sum_.foreign;
    return sum_.add_example(std::format(
        "telemetry.raw has message {} of device {}, which never published it", sequence, device));
  }
  entry.sequence = static_cast<std::uint32_t>(sequence);
  std::memcpy(entry.id.data(), message_id.data(), entry.id.size());
  entry.is_first = in_raw_[device].insert(entry.sequence);
  if (entry.is_first) {
    if (is_late(device, entry.sequence)) {
      ++sum_.out_of_order;
      sum_.add_example(std::format("telemetry.raw has {} behind {}", name(device, entry.sequence),
                                   highest_[device]));
    }
  } else if (copied_[device].insert(entry.sequence) && fleet_.is_repeated(device, entry.sequence)) {
    ++sum_.raw_repeated;
  } else {
    ++sum_.raw_duplicated;
  }
  entries_.push_back(entry);
}

void Reconciler::close_raw() {
  // One record may be there twice, id and all: a producer that gave up waiting and sent it again.
  // It is one message with one verdict; the first place is its.
  std::ranges::sort(entries_, {},
                    [](const Entry& entry) { return std::tie(entry.id, entry.place); });
  const auto again = std::ranges::unique(entries_, {}, &Entry::id);
  entries_.erase(again.begin(), again.end());
  // Copies may be left out: that is what the validator is for.
  awaited_ = static_cast<std::uint64_t>(std::ranges::count(entries_, true, &Entry::is_first));
}

Reconciler::Entry* Reconciler::find(std::string_view message_id) {
  MessageId id{};
  if (message_id.size() != id.size()) return nullptr;
  std::memcpy(id.data(), message_id.data(), id.size());
  const auto at = std::ranges::lower_bound(entries_, id, {}, &Entry::id);
  return at != entries_.end() && at->id == id ? &*at : nullptr;
}

void Reconciler::count_verdict(Entry& entry) {
  if (entry.valid + entry.rejected == 1) {
    if (entry.is_first) --awaited_;
  } else if (entry.valid == 0 || entry.rejected == 0) {
    ++sum_.verdicts_repeated;
  }
}

void Reconciler::on_valid(std::string_view message_id, std::uint32_t part,
                          std::int64_t event_time_ms) {
  // A payload of ours is one sample.
  Entry* const entry = part == 0 ? find(message_id) : nullptr;
  if (entry == nullptr) {
    ++sum_.foreign;
    return sum_.add_example("telemetry.valid has a message that telemetry.raw does not have");
  }
  increase(entry->valid);
  count_verdict(*entry);
  const bool is_devices_time =
      event_time_ms == fleet_.device_time_ms(entry->device, entry->sequence);
  if (!valid_[entry->device].insert(entry->sequence)) {
    if (!is_devices_time) copies_[entry->device].push_back({event_time_ms, entry->sequence});
    return;
  }
  if (entry->place < last_valid_[entry->device]) {
    ++sum_.valid_out_of_order;
    sum_.add_example("telemetry.valid has " + name(entry->device, entry->sequence) +
                     " behind one that is behind it in telemetry.raw");
  }
  last_valid_[entry->device] = std::max(last_valid_[entry->device], entry->place);
  if (!is_devices_time) {
    other_times_.emplace(key_of(entry->device, entry->sequence), event_time_ms);
  }
}

void Reconciler::on_rejected(std::string_view message_id, std::string_view reason) {
  Entry* const entry = find(message_id);
  if (entry == nullptr) {
    ++sum_.foreign;
    return sum_.add_example("telemetry.rejected has a message that telemetry.raw does not have");
  }
  increase(entry->rejected);
  count_verdict(*entry);
  if (entry->rejected == 1 && entry->is_first) ++sum_.in_rejected[std::string(reason)];
  if (fleet_.defect(entry->device, entry->sequence) == Defect::kNone) {
    ++sum_.misjudged;
    sum_.add_example(
        std::format("{} was rejected as {}", name(entry->device, entry->sequence), reason));
  }
}

Completeness Reconciler::sum_up(bool with_verdicts) const {
  Completeness sum = sum_;
  sum.has_verdicts = with_verdicts;
  for (std::uint32_t device = 0; device < fleet_.size(); ++device) {
    sum.published += ledger_.published[device].count();
    sum.acknowledged += ledger_.acknowledged[device].count();
    sum.in_raw += in_raw_[device].count();
    sum.in_valid += valid_[device].count();
    sum.refused += ledger_.refused[device].count();
    ledger_.refused[device].for_each([&](std::uint32_t sequence) {
      if (!in_raw_[device].contains(sequence) || fleet_.is_repeated(device, sequence)) return;
      ++sum.refused_in_raw;
      sum.add_example(
          std::format("{} was refused, and telemetry.raw has it", name(device, sequence)));
    });
    ledger_.acknowledged[device].for_each([&](std::uint32_t sequence) {
      if (in_raw_[device].contains(sequence)) return;
      ++sum.missing_in_raw;
      sum.add_example(std::format("{} was acknowledged, and telemetry.raw does not have it",
                                  name(device, sequence)));
    });
  }
  if (!with_verdicts) return sum;
  for (const Entry& entry : entries_) {
    if (entry.valid > 0 && entry.rejected > 0) {
      ++sum.contradictory;
      sum.add_example(std::format("{} is valid and rejected", name(entry.device, entry.sequence)));
    } else if (entry.valid + entry.rejected == 0) {
      ++(entry.is_first ? sum.unjudged : sum.replays_left_out);
      if (!entry.is_first) continue;
      sum.add_example(
          std::format("{} is neither valid nor rejected", name(entry.device, entry.sequence)));
    } else if (entry.valid > 0 && fleet_.defect(entry.device, entry.sequence) != Defect::kNone) {
      ++sum.misjudged;
      sum.add_example(std::format("{} is valid, and was bad", name(entry.device, entry.sequence)));
    }
  }
  return sum;
}

std::int64_t Reconciler::event_time_ms(std::uint32_t device, std::uint32_t sequence) const {
  const auto other = other_times_.find(key_of(device, sequence));
  return other != other_times_.end() ? other->second : fleet_.device_time_ms(device, sequence);
}

}  // namespace sluice::sim
