#include "proof.h"

#include "stored_samples.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include <sluice/ingest/valid_message.h>
#include <sluice/kafka/topics.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>

namespace sluice::sim {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBetweenReads(250);

milliseconds to_ms(double seconds) {
  return milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

Result<std::string> read_key(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path);
  std::string key;
  if (!(file >> key)) return fail(ErrorCode::kInvalidArgument, path + ": no key in it");
  return key;
}

}  // namespace

Proof::Proof(const Options& options, const Fleet& fleet, const Roster& roster, const Ledger& ledger,
             const Clock& clock)
    : options_(options),
      fleet_(fleet),
      roster_(roster),
      ledger_(ledger),
      clock_(clock),
      reconciler_(fleet, ledger) {}

Result<std::unique_ptr<Proof>> Proof::begin(const Options& options, const Fleet& fleet,
                                            const Roster& roster, const Ledger& ledger,
                                            const Clock& clock, const Logger& logger) {
  std::unique_ptr<Proof> proof(new Proof(options, fleet, roster, ledger, clock));
  if (options.brokers.empty()) return proof;
  kafka::Config kafka;
  kafka.brokers = options.brokers;
  kafka.name_space = options.name_space;
  kafka.client_id = "sluice-sim";
  const auto tail = [&](const kafka::TopicSpec& topic) {
    return TopicTail::open(kafka, std::string(topic.name), clock, logger);
  };
  if (options.verdicts) {
    SLUICE_TRY_ASSIGN(proof->valid_, tail(kafka::topics::kTelemetryValid));
    SLUICE_TRY_ASSIGN(proof->rejected_, tail(kafka::topics::kTelemetryRejected));
  }
  SLUICE_TRY_ASSIGN(auto raw, tail(kafka::topics::kTelemetryRaw));
  proof->raw_ = std::make_unique<RawWatch>(std::move(raw), roster);
  return proof;
}

void Proof::on_acknowledged(std::uint32_t device, std::uint32_t sequence) {
  ++acknowledged_;
  if (reconciler_.is_in_raw(device, sequence)) ++confirmed_;
}

void Proof::update() {
  if (!raw_) return;
  for (const RawWatch::Record& record : raw_->take()) {
    const auto sequence = static_cast<std::uint32_t>(std::max<std::int64_t>(record.sequence, 0));
    const bool was_there = reconciler_.is_in_raw(record.device, sequence);
    reconciler_.on_raw(record.device, record.sequence, record.id());
    if (!was_there && ledger_.acknowledged[record.device].contains(sequence)) ++confirmed_;
  }
  std::ranges::rotate(acknowledged_before_, acknowledged_before_.begin() + 1);
  acknowledged_before_.back() = acknowledged_;
}

std::uint64_t Proof::missing() const {
  const std::uint64_t settled = acknowledged_before_.front();
  return raw_ && settled > confirmed_ ? settled - confirmed_ : 0;
}

Result<> Proof::read_verdicts() {
  const MonoTime deadline = clock_.mono() + to_ms(options_.settle);
  while (true) {
    SLUICE_TRY(valid_->read_on([&](const kafka::RecordView& record) {
      if (roster_.find(record.key) < 0) return;
      const auto message = ingest::read_valid_message(record.value.value_or(std::string_view()));
      if (!message) return reconciler_.on_valid({}, 0, 0);
      const ingest::ValidFields& fields = message->fields();
      reconciler_.on_valid(fields.message_id, fields.part, fields.event_time_ms);
    }));
    SLUICE_TRY(rejected_->read_on([&](const kafka::RecordView& record) {
      if (roster_.find(record.key) < 0) return;
      telemetry::v1::RejectedMessage message;
      message.ParseFromString(std::string(record.value.value_or(std::string_view())));
      reconciler_.on_rejected(message.raw().message_id(), message.reason());
    }));
    if (reconciler_.is_judged() || clock_.mono() >= deadline) return {};
    std::this_thread::sleep_for(kBetweenReads);
  }
}

Result<Completeness> Proof::finish() {
  if (!raw_) {
    Completeness sum = reconciler_.sum_up(false);
    sum.missing_in_raw = 0;  // nobody looked
    sum.examples.clear();
    return sum;
  }
  SLUICE_TRY(raw_->finish());
  update();
  reconciler_.close_raw();
  if (!options_.verdicts) return reconciler_.sum_up(false);
  SLUICE_TRY(read_verdicts());
  Completeness sum = reconciler_.sum_up(true);
  if (options_.query.empty()) return sum;
  SLUICE_TRY_ASSIGN(const std::string key, read_key(options_.query_key));
  const StoredSamples samples({.url = options_.query, .ca_file = options_.query_ca, .key = key},
                              fleet_, roster_, reconciler_, ledger_, clock_);
  SLUICE_TRY(samples.check(to_ms(options_.settle), sum));
  return sum;
}

}  // namespace sluice::sim
