#include <sluice/outbox/relay.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/crash_point.h>
#include <sluice/postgres/transaction.h>

namespace sluice::outbox {
namespace {

/// Beside what Kafka takes: reading and deleting a batch.
constexpr std::chrono::seconds kDatabaseTime{10};

/// A producer looks for what has outlived its delivery timeout once a second.
constexpr std::chrono::seconds kDeliverySlack{1};

/// Counting on is a waste beyond it: the alert has long been raised.
constexpr std::int64_t kMostCounted = 1'000'000;

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

Relay::Relay(postgres::Pool& pool, kafka::Sender& sender, const Clock& clock, Registry& registry,
             Options options)
    : pool_(pool),
      sender_(sender),
      clock_(clock),
      options_(std::move(options)),
      send_timeout_(options_.delivery_timeout + kDeliverySlack),
      leadership_(pool, options_.lock_name),
      published_(
          registry.counter("sluice_outbox_published_total",
                           "Records that Kafka has acknowledged and the outbox has forgotten.")),
      leads_(registry.gauge("sluice_outbox_leader", "1 where this instance publishes the outbox.")),
      records_(registry.gauge("sluice_outbox_records",
                              "Committed records that wait to be published, up to a million.")),
      oldest_seconds_(registry.gauge(
          "sluice_outbox_oldest_seconds",
          "For how long this instance has seen the first of the waiting records wait.")) {}

Result<> Relay::run(std::stop_token stop) {
  const auto leads = leadership_.acquire();
  leads_.set(leads && *leads ? 1 : 0);
  if (!leads) return fail(leads.error().context("lead the outbox"));
  if (!*leads) return {};
  if (const std::uint64_t term = leadership_.term(); term != term_) SLUICE_TRY(begin_term(term));
  if (clock_.mono() < quiet_until_) return {};
  while (!stop.stop_requested()) {
    SLUICE_TRY_ASSIGN(const std::size_t published, publish_batch());
    if (published < options_.batch_records) break;
  }
  return {};
}

Result<> Relay::begin_term(std::uint64_t term) {
  // What another leader read and may be sending was committed before we held the lock, and is
  // deleted by nobody but us from now on.
  SLUICE_TRY_ASSIGN(const bool is_empty,
                    leadership_.transaction(
                        {.all_tenants = true}, [](postgres::Transaction& sql) -> Result<bool> {
                          SLUICE_TRY_ASSIGN(
                              const postgres::Rows rows,
                              sql.query("SELECT NOT EXISTS (SELECT FROM outbox) AS is_empty"));
                          return rows.one().get<bool>("is_empty");
                        }));
  quiet_until_ = clock_.mono();
  if (!is_empty) quiet_until_ += send_timeout_;
  term_ = term;
  return {};
}

Result<> Relay::measure() {
  const MonoTime now = clock_.mono();
  if (measured_at_ && now < *measured_at_ + options_.measure_interval) return {};
  measured_at_ = now;
  struct Waiting {
    std::int64_t count = 0;
    std::optional<std::int64_t> oldest;
  };
  SLUICE_TRY_ASSIGN(
      const Waiting waiting,
      postgres::transaction(
          pool_, {.all_tenants = true, .read_only = true},
          [](postgres::Transaction& sql) -> Result<Waiting> {
            SLUICE_TRY_ASSIGN(
                const postgres::Rows rows,
                sql.query(
                    "SELECT (SELECT min(outbox_id) FROM outbox) AS oldest, "
                    "(SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted) AS waiting",
                    {kMostCounted}));
            Waiting found{.count = rows.one().get<std::int64_t>("waiting"), .oldest = {}};
            if (!rows.one().is_null("oldest"))
              found.oldest = rows.one().get<std::int64_t>("oldest");
            return found;
          }));
  // Rows carry no time; how long one has been seen first in line says what an alert needs.
  if (waiting.oldest != oldest_id_) oldest_seen_at_ = now;
  oldest_id_ = waiting.oldest;
  records_.set(static_cast<double>(waiting.count));
  oldest_seconds_.set(oldest_id_ ? std::chrono::duration<double>(now - oldest_seen_at_).count()
                                 : 0.0);
  return {};
}

Result<std::size_t> Relay::publish_batch() {
  // Tried once: a repetition would publish the batch again for nothing; the next run comes soon.
  const postgres::TransactionOptions transaction{
      .all_tenants = true, .timeout = send_timeout_ + kDatabaseTime, .max_attempts = 1};
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
        SLUICE_TRY(sender_.send_and_wait(records, send_timeout_));
        SLUICE_CRASH_POINT("outbox_after_send");
        SLUICE_TRY(sql.execute("DELETE FROM outbox WHERE outbox_id = ANY ($1::bigint[])", {ids}));
        return batch.size();
      }));
  published_.add(count);
  return count;
}

}  // namespace sluice::outbox
