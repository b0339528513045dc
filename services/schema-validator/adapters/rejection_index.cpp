#include "adapters/rejection_index.h"

#include <algorithm>
#include <limits>
#include <vector>

#include <sluice/base/utf8.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>

namespace sluice::validator {
namespace {

constexpr std::size_t kMaxText = 1024;  // of a row's texts; the whole is in Kafka

/// PostgreSQL keeps neither zero bytes nor what is no UTF-8; keys of payloads may hold both.
std::string clean(std::string_view text) {
  std::string out = replace_invalid_utf8(text.substr(0, kMaxText));
  std::ranges::replace(out, '\0', ' ');
  return out;
}

}  // namespace

std::optional<RejectionRow> rejection_row_of(const kafka::RecordView& record) {
  telemetry::v1::RejectedMessage message;
  if (!record.value || record.value->size() > std::numeric_limits<int>::max() ||
      !message.ParseFromArray(record.value->data(), static_cast<int>(record.value->size()))) {
    return std::nullopt;
  }
  const telemetry::v1::RawMessage& raw = message.raw();
  // Of an envelope that could not be read the key says whose it is.
  const auto slash = record.key.find('/');
  const std::string_view key_tenant = record.key.substr(0, slash);
  const std::string_view key_device =
      slash == std::string_view::npos ? std::string_view() : record.key.substr(slash + 1);
  RejectionRow row{
      .place = {.rejected_at = WallTime(std::chrono::milliseconds(message.rejected_at_ms())),
                .partition = record.partition.value(),
                .offset = record.offset.value()},
      .tenant = clean(raw.tenant().empty() ? key_tenant : std::string_view(raw.tenant())),
      .device_id = clean(raw.device().empty() ? key_device : std::string_view(raw.device())),
      .message_id = {},
      .received_at = {},
      .reason = clean(message.reason()),
      .detail = clean(message.detail()),
      .pointer = clean(message.pointer()),
      .schema_id = clean(message.schema_id()),
      .schema_version = clean(message.schema_version())};
  if (raw.message_id().size() == 16) {
    Uuid id;
    std::ranges::copy(raw.message_id(), id.bytes.begin());
    row.message_id = id;
  }
  if (raw.received_at_ms() > 0) {
    row.received_at = WallTime(std::chrono::milliseconds(raw.received_at_ms()));
  }
  return row;
}

RejectionIndex::RejectionIndex(RejectionStore& store, std::chrono::days kept, const Clock& clock,
                               Registry& registry)
    : store_(store),
      kept_(kept),
      clock_(clock),
      indexed_(registry.counter("sluice_validator_rejections_indexed_total",
                                "Rejected messages that operators can look for.")),
      unindexed_(registry.counter("sluice_validator_rejections_unindexed_total",
                                  "Records of telemetry.rejected that could not be indexed.")) {}

Result<> RejectionIndex::on_batch(std::span<const kafka::RecordView> records,
                                  kafka::ConsumerControl& /*control*/) {
  const WallTime oldest = clock_.wall() - kept_;
  std::vector<RejectionRow> rows;
  rows.reserve(records.size());
  for (const kafka::RecordView& record : records) {
    auto row = rejection_row_of(record);
    // A day ahead of our clock is no day of ours: it would stay when its time is over.
    if (!row || row->place.rejected_at > clock_.wall() + std::chrono::days(1)) {
      unindexed_.add();
    } else if (row->place.rejected_at >= oldest) {
      rows.push_back(*std::move(row));
    }
  }
  if (rows.empty()) return {};
  SLUICE_TRY(store_.insert(rows));
  indexed_.add(rows.size());
  return {};
}

Result<> RejectionIndex::on_poison(const kafka::RecordView& /*record*/, const Error& /*error*/,
                                   int /*attempts*/) {
  unindexed_.add();
  return {};
}

}  // namespace sluice::validator
