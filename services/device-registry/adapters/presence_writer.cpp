#include "adapters/presence_writer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::registry {
namespace {

/// Whether the data is at fault: only then can it help to leave some of it out. Whatever else the
/// store says (a missing right, a table that a migration has not made yet) is about the store, and
/// to skip events for it would be to lose them all.
bool is_about_data(const Error& error) { return error.code() == ErrorCode::kInvalidArgument; }

}  // namespace

PresenceWriter::PresenceWriter(PresenceStore& store, const Logger& log, Registry& registry)
    : store_(store), log_(log) {
  constexpr std::array<std::string_view, kOutcomes> kNames{"changed", "unchanged", "unknown_device",
                                                           "ignored", "malformed", "refused"};
  for (std::size_t kind = 0; kind < kDeviceEventKinds; ++kind) {
    for (const std::string_view outcome : kNames) {
      counters_.push_back(
          registry.counter("sluice_registry_device_events_total",
                           "Events of devices that were read, by what became of them.",
                           {{"kind", std::string(to_string(static_cast<DeviceEventKind>(kind)))},
                            {"outcome", std::string(outcome)}}));
    }
  }
}

Counter& PresenceWriter::counter(DeviceEventKind kind, Outcome outcome) {
  return counters_[static_cast<std::size_t>(kind) * kOutcomes + static_cast<std::size_t>(outcome)];
}

Result<> PresenceWriter::on_batch(std::span<const kafka::RecordView> records,
                                  kafka::ConsumerControl& /*control*/) {
  std::vector<DeviceEvent> events;
  events.reserve(records.size());
  PresenceFold fold;
  std::size_t malformed = 0;
  std::optional<Error> first_fault;
  for (const kafka::RecordView& record : records) {
    auto event = read_device_event(record.key, record.value);
    if (!event) {
      if (malformed++ == 0) first_fault = std::move(event).error();
      continue;
    }
    fold.add(*event);
    events.push_back(*std::move(event));
  }

  std::vector<const PresenceFold::Change*> changes;  // in the order of their keys
  changes.reserve(fold.changes().size());
  for (const PresenceFold::Change& change : fold.changes()) changes.push_back(&change);
  const auto outcomes = write(changes);
  if (!outcomes) {
    if (is_about_data(outcomes.error())) return fail(outcomes.error());
    return fail(Error(ErrorCode::kUnavailable, outcomes.error().message())
                    .with_reason(std::string(outcomes.error().reason())));
  }

  // Counted once the store has them: a batch that comes again is not counted again.
  for (const DeviceEvent& event : events) {
    if (!event.told) {
      counter(event.kind, Outcome::kIgnored).add();
      continue;
    }
    const auto change = std::ranges::lower_bound(
        changes, event.device, {},
        [](const PresenceFold::Change* each) -> const DeviceKey& { return each->first; });
    const auto place = static_cast<std::size_t>(change - changes.begin());
    counter(event.kind, outcome_of(outcomes->at(place))).add();
  }
  if (first_fault) {
    counter(DeviceEventKind::kUnknown, Outcome::kMalformed).add(malformed);
    log_.warning("device_events_malformed", *first_fault, {{"records", malformed}});
  }
  return {};
}

PresenceWriter::Outcome PresenceWriter::outcome_of(PresenceOutcome outcome) {
  switch (outcome) {
    case PresenceOutcome::kChanged:
      return Outcome::kChanged;
    case PresenceOutcome::kUnchanged:
      return Outcome::kUnchanged;
    case PresenceOutcome::kUnknownDevice:
      break;
  }
  return Outcome::kUnknownDevice;
}

Result<std::vector<PresenceOutcome>> PresenceWriter::write(
    std::span<const PresenceFold::Change* const> changes) {
  std::vector<PresenceOutcome> outcomes;
  outcomes.reserve(changes.size());
  for (auto rest = changes; !rest.empty();) {
    const auto part = rest.first(std::min(rest.size(), kMaxPresenceChanges));
    SLUICE_TRY_ASSIGN(const std::vector<PresenceOutcome> written, store_.merge(part));
    outcomes.insert(outcomes.end(), written.begin(), written.end());
    rest = rest.subspan(part.size());
  }
  return outcomes;
}

Result<> PresenceWriter::on_poison(const kafka::RecordView& record, const Error& /*error*/,
                                   int /*attempts*/) {
  const auto event = read_device_event(record.key, record.value);
  counter(event ? event->kind : DeviceEventKind::kUnknown, Outcome::kRefused).add();
  return {};
}

}  // namespace sluice::registry
