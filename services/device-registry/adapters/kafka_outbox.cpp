#include "adapters/kafka_outbox.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/crash_point.h>
#include <sluice/postgres/transaction.h>

namespace sluice::registry {
namespace {

/// Beside what Kafka takes: reading and deleting a batch.
constexpr std::chrono::seconds kDatabaseTime{10};

/// A batch as it was read; the records that are sent are views of it.
struct Row {
  std::string topic;
  std::string key;
  std::optional<std::string> value;
  std::array<kafka::Header, 1> headers;
  std::string traceparent;
};

kafka::Record record_of(Row& row) {
  row.headers[0] = {.name = kafka::kTraceHeader, .value = row.traceparent};
  kafka::Record record{.topic = row.topic, .key = row.key};
  if (row.value) record.value = *row.value;
  if (!row.traceparent.empty()) record.headers = row.headers;
  return record;
}

}  // namespace

KafkaOutbox::KafkaOutbox(postgres::Pool& pool, kafka::Sender& sender, Registry& registry,
                         Options options)
    : sender_(sender),
      options_(options),
      leadership_(pool, "device_registry.outbox"),
      published_(
          registry.counter("sluice_registry_outbox_published_total",
                           "Records that Kafka has acknowledged and the outbox has forgotten.")),
      leads_(registry.gauge("sluice_registry_outbox_leader",
                            "1 where this instance publishes the outbox.")) {}

Result<> KafkaOutbox::run(std::stop_token stop) {
  const auto leads = leadership_.acquire();
  leads_.set(leads && *leads ? 1 : 0);
  if (!leads) return fail(leads.error().context("lead the outbox"));
  if (!*leads) return {};
  while (!stop.stop_requested()) {
    SLUICE_TRY_ASSIGN(const std::size_t published, publish_batch());
    if (published < options_.batch_records) break;
  }
  return {};
}

Result<std::size_t> KafkaOutbox::publish_batch() {
  // Tried once: a repetition would publish the batch again for nothing; the next run comes soon.
  const postgres::TransactionOptions transaction{
      .all_tenants = true, .timeout = options_.send_timeout + kDatabaseTime, .max_attempts = 1};
  SLUICE_TRY_ASSIGN(
      const std::size_t count,
      leadership_.transaction(transaction, [&](postgres::Transaction& sql) -> Result<std::size_t> {
        SLUICE_TRY_ASSIGN(const postgres::Rows rows,
                          sql.query("SELECT outbox_id, topic, key, value, traceparent FROM outbox "
                                    "ORDER BY outbox_id LIMIT $1",
                                    {options_.batch_records}));
        if (rows.empty()) return std::size_t{0};
        std::vector<Row> batch;
        std::vector<std::int64_t> ids;
        batch.reserve(rows.size());
        for (const postgres::Row& row : rows) {
          ids.push_back(row.get<std::int64_t>("outbox_id"));
          batch.push_back({.topic = row.get<std::string>("topic"),
                           .key = row.get<std::string>("key"),
                           .value = row.optional_bytes("value"),
                           .headers = {},
                           .traceparent = row.get<std::string>("traceparent")});
        }
        std::vector<kafka::Record> records;
        records.reserve(batch.size());
        for (Row& row : batch) records.push_back(record_of(row));
        SLUICE_TRY(sender_.send_and_wait(records, options_.send_timeout));
        SLUICE_CRASH_POINT("registry_outbox_after_send");
        SLUICE_TRY(sql.execute("DELETE FROM outbox WHERE outbox_id = ANY ($1::bigint[])", {ids}));
        return batch.size();
      }));
  published_.add(count);
  return count;
}

}  // namespace sluice::registry
