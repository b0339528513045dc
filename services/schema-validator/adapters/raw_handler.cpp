#include "adapters/raw_handler.h"

#include "adapters/raw_handler_inside.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <sluice/base/crash_point.h>
#include <sluice/kafka/topics.h>

namespace sluice::validator {
namespace {

constexpr std::string_view kValid = kafka::topics::kTelemetryValid.name;
constexpr std::string_view kRejected = kafka::topics::kTelemetryRejected.name;

/// A record's cost beside its bytes, so that a flood of empty ones has a price.
constexpr std::size_t kRecordCost = 128;
/// Tokens hold an ownership and an offset: 2^48 records of a partition last for millennia.
constexpr unsigned kOffsetBits = 48;
constexpr std::uint64_t kOffsetMask = (std::uint64_t{1} << kOffsetBits) - 1;
constexpr std::chrono::milliseconds kWaitStep{50};

std::uint64_t token_of(std::uint16_t ownership, kafka::Offset offset) {
  return (std::uint64_t{ownership} << kOffsetBits) |
         (static_cast<std::uint64_t>(offset.value()) & kOffsetMask);
}

std::string_view tenant_of(std::string_view key) { return key.substr(0, key.find('/')); }

}  // namespace

RawHandler::RawHandler(const Options& options, const Clock& clock, const Logger& log,
                       RawMetrics& metrics, const CatalogueHolder& catalogue, Parts parts)
    : options_(options),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      catalogue_(catalogue),
      parts_(std::move(parts)),
      fair_order_(options.fair_quantum) {}

RawHandler::~RawHandler() {
  owned_.clear();
  report();
}

void RawHandler::report() {
  double devices = 0;
  double bytes = 0;
  double fill = 0;
  for (const auto& owned : owned_) {
    devices += static_cast<double>(owned->state.devices().size());
    bytes += static_cast<double>(owned->state.devices().memory_bytes());
    fill = std::max(fill, static_cast<double>(owned->state.filter().inserted()) /
                              static_cast<double>(owned->state.filter().capacity()));
  }
  metrics_.devices.add(devices - std::exchange(reported_devices_, devices));
  metrics_.state_bytes.add(bytes - std::exchange(reported_bytes_, bytes));
  metrics_.filter_fill.set(fill);
}

// --- Records

Result<> RawHandler::on_batch(std::span<const kafka::RecordView> records,
                              kafka::ConsumerControl& /*control*/) {
  if (is_broken_) return fail(ErrorCode::kUnavailable, "an output was lost: starting anew");
  items_.clear();
  owners_.clear();
  for (const kafka::RecordView& record : records) {
    Owned* const owned = find(record.partition);
    if (owned == nullptr) return fail(ErrorCode::kUnavailable, "not our partition any more");
    owned->tracker.expect(record.offset.value());
    owners_.push_back(owned);
    items_.push_back(
        {.tenant = tenant_of(record.key), .bytes = kRecordCost + record.value.value_or("").size()});
  }
  const auto catalogue = catalogue_.load();
  is_mid_batch_ = true;
  for (const std::uint32_t index : fair_order_.of(items_)) {
    Owned& owned = *owners_[index];
    if (owned.tracker.is_handled(records[index].offset.value())) continue;
    SLUICE_TRY(handle(records[index], owned, *catalogue));
  }
  is_mid_batch_ = false;
  return {};
}

Result<> RawHandler::handle(const kafka::RecordView& record, Owned& owned,
                            const Catalogue& catalogue) {
  SLUICE_TRY(wait_for_room());
  const SourceRecord source{.partition = record.partition.value(),
                            .offset = record.offset.value(),
                            .timestamp_ms = milliseconds_of(record.timestamp),
                            .key = record.key,
                            .value = record.value.value_or(""),
                            .now_ms = milliseconds_of(clock_.wall())};
  outputs_.clear();
  Outcome outcome{};
  try {
    outcome = parts_.judge->judge(source, owned.state, catalogue, outputs_);
  } catch (const std::exception& error) {
    // Whatever it is, it is not this record's sender who must wait for its repair.
    return fail(ErrorCode::kInternal, std::string("judge a record: ") + error.what());
  }
  owned.state.note(source.offset, source.timestamp_ms);
  owned.tracker.handled(source.offset, outputs_.size());
  metrics_.outcomes[static_cast<std::size_t>(outcome)].add();
  metrics_.delay.observe(static_cast<double>(source.now_ms - source.timestamp_ms) / 1'000.0);
  return append_outputs(record, owned);
}

Result<> RawHandler::append_outputs(const kafka::RecordView& record, const Owned& owned) {
  const std::uint64_t token = token_of(owned.ownership, record.offset);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Outputs::Output output = outputs_[i];
    const bool is_valid = output.kind == Outputs::Kind::kValid;
    const auto appended = append({.topic = is_valid ? kValid : kRejected,
                                  .key = record.key,
                                  .value = output.bytes,
                                  .partition = record.partition},
                                 token);
    if (appended) continue;
    // The record counts as handled already, so nobody would send the rest of its outputs.
    is_broken_ = true;
    metrics_.unstored.add();
    return fail(appended.error());
  }
  return {};
}

Result<> RawHandler::append(const kafka::Record& record, std::uint64_t token) {
  const MonoTime deadline = clock_.mono() + options_.flush_timeout;
  while (true) {
    auto appended = parts_.producer->try_append(record, token);
    if (appended || !is_retryable(appended.error().code())) return appended;
    if (clock_.mono() >= deadline) return appended;
    parts_.producer->wait(kWaitStep);
    take_completions();
  }
}

/// Back-pressure: no record is judged before there is room for what comes of it.
Result<> RawHandler::wait_for_room() {
  if (parts_.producer->in_flight() < options_.max_in_flight) return {};
  metrics_.waits.add();
  const MonoTime deadline = clock_.mono() + options_.room_timeout;
  while (true) {
    take_completions();
    if (is_broken_) return fail(ErrorCode::kUnavailable, "an output was lost: starting anew");
    if (parts_.producer->in_flight() < options_.max_in_flight) return {};
    if (clock_.mono() >= deadline) {
      return fail(ErrorCode::kResourceExhausted, "too many outputs await acknowledgement");
    }
    parts_.producer->wait(kWaitStep);
  }
}

void RawHandler::take_completions() {
  completions_.clear();
  parts_.producer->poll(completions_);
  for (const kafka::Completion& completion : completions_) {
    if (completion.token == kStateToken) {
      // A state that is not written is written again with the device's next change, and no older
      // one does harm.
      if (completion.failure) metrics_.unstored.add();
      continue;
    }
    const auto ownership = static_cast<std::uint16_t>(completion.token >> kOffsetBits);
    const auto found = std::ranges::find(owned_, ownership, &Owned::ownership);
    if (found == owned_.end()) continue;  // of a partition that went: its next owner does it again
    if (completion.failure) {
      metrics_.unstored.add();
      if (!std::exchange(is_broken_, true)) {
        log_.error("output_not_stored", {{"partition", (*found)->partition.value()},
                                         {"reason", to_string(*completion.failure)}});
      }
      continue;
    }
    (*found)->tracker.acknowledged(static_cast<std::int64_t>(completion.token & kOffsetMask));
    SLUICE_CRASH_POINT("validator_after_output");
  }
}

Result<> RawHandler::on_tick(kafka::ConsumerControl& control) {
  take_completions();
  for (const auto& owned : owned_) {
    owned->state.advance(milliseconds_of(clock_.wall()));
    if (owned->tracker.durable() >= 0) {
      control.mark_durable(kRawTopic, owned->partition, kafka::Offset(owned->tracker.durable()));
    }
    save_states(*owned, false);
  }
  if (const MonoTime now = clock_.mono(); now >= next_report_) {
    next_report_ = now + options_.report_interval;
    report();
  }
  return {};
}

Result<> RawHandler::on_poison(const kafka::RecordView& record, const Error& error, int attempts) {
  Owned* const owned = find(record.partition);
  if (owned == nullptr) return fail(ErrorCode::kUnavailable, "not our partition any more");
  const Rejection rejection{
      .reason = RejectReason::kInternal,
      .detail = "failed " + std::to_string(attempts) + " times: " + error.message()};
  outputs_.clear();
  parts_.judge->reject({.partition = record.partition.value(),
                        .offset = record.offset.value(),
                        .timestamp_ms = milliseconds_of(record.timestamp),
                        .key = record.key,
                        .value = record.value.value_or(""),
                        .now_ms = milliseconds_of(clock_.wall())},
                       rejection, outputs_);
  owned->tracker.handled(record.offset.value(), outputs_.size());
  SLUICE_TRY(append_outputs(record, *owned));
  SLUICE_TRY(parts_.producer->flush(options_.flush_timeout));
  take_completions();
  if (is_broken_) return fail(ErrorCode::kUnavailable, "the rejection was not stored");
  metrics_.poisoned.add();
  metrics_.outcomes[static_cast<std::size_t>(Outcome::kRejected)].add();
  return {};
}

}  // namespace sluice::validator
