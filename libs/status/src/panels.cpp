#include "panels.h"

#include <format>

namespace sluice::status {
namespace {

std::string with_window(std::string_view expression, std::chrono::milliseconds window) {
  constexpr std::string_view kPlace = "$w";
  std::string out(expression);
  const std::string written = std::format("{}ms", window.count());
  for (std::size_t at = 0; (at = out.find(kPlace, at)) != std::string::npos;) {
    out.replace(at, kPlace.size(), written);
  }
  return out;
}

}  // namespace

std::span<const Panel> panels() {
  // An expression names metrics that are Sluice's alone, or joins on one that is: the same
  // Prometheus may know other things.
  static const std::vector<Panel> all = {
      {.id = "messages",
       .title = "Messages",
       .unit = "msg/s",
       .help = "Sent by devices; stored by Kafka, and then acknowledged.",
       .lines = {{"Published", "sum(rate(sluice_mqtt_received_total[$w]))"},
                 {"Acknowledged", "sum(rate(sluice_mqtt_ingested_total[$w]))"}}},
      {.id = "validation",
       .title = "Validation",
       .unit = "msg/s",
       .help = "Passed on, or set aside with reason and bytes.",
       .lines = {{"Valid", R"(sum(rate(sluice_validator_messages_total{outcome="valid"}[$w])))"},
                 {"Rejected",
                  R"(sum(rate(sluice_validator_messages_total{outcome="rejected"}[$w])))"}}},
      {.id = "stored",
       .title = "Samples stored",
       .unit = "samples/s",
       .help = "Readings that PostgreSQL has committed.",
       .lines = {{"Stored", "sum(rate(sluice_tsdb_writer_samples_total[$w]))"}}},
      {.id = "devices",
       .title = "Connected devices",
       .unit = "devices",
       .help = "Devices with a live MQTT connection, over all fronts.",
       .lines = {{"Connected", "sum(sluice_mqtt_connections)"}}},
      {.id = "puback",
       .title = "PUBACK latency",
       .unit = "s",
       .help = "Until Kafka has a message; its PUBACK waits for that.",
       .lines = {{"p50",
                  "histogram_quantile(0.5, sum by (le) "
                  "(rate(sluice_kafka_producer_ack_latency_seconds_bucket"
                  R"({service="mqtt-front"}[$w]))))"},
                 {"p99",
                  "histogram_quantile(0.99, sum by (le) "
                  "(rate(sluice_kafka_producer_ack_latency_seconds_bucket"
                  R"({service="mqtt-front"}[$w]))))"}}},
      {.id = "delay",
       .title = "On the way to the store",
       .unit = "s",
       .help = "Kafka to verdict; age of the oldest not committed.",
       .lines = {{"Validated after, p99",
                  "histogram_quantile(0.99, sum by (le) "
                  "(rate(sluice_validator_delay_seconds_bucket[$w])))"},
                 {"Oldest not stored", "max(sluice_tsdb_writer_lag_seconds)"}}},
      {.id = "lag",
       .title = "Consumer lag",
       .unit = "records",
       .help = "Records that a reader has not dealt with for good.",
       .by_label = "sum by (service, topic) (sluice_kafka_consumer_lag_records)",
       .labels = {"service", "topic"}},
      {.id = "cpu",
       .title = "CPU",
       .unit = "% of a core",
       .help = "Of each service, all its pods together.",
       .by_label = "100 * sum by (service) (rate(process_cpu_seconds_total[$w]) and on (job, "
                   "instance) sluice_service_ready)",
       .labels = {"service"}},
  };
  return all;
}

std::string_view services_query() {
  // Whatever was scraped within the last hour should be there: a service that is gone altogether
  // is told from one that never was.
  return "label_replace(sum by (service) (sluice_service_ready), \"line\", \"ready\", \"\", \"\") "
         "or label_replace(count by (service) (sluice_service_ready), \"line\", \"seen\", \"\", "
         "\"\") or label_replace(count by (service) (last_over_time(sluice_service_ready[1h])), "
         "\"line\", \"known\", \"\", \"\")";
}

std::string query_of(const Panel& panel, std::chrono::milliseconds rate_window) {
  if (!panel.by_label.empty()) {
    std::string query = std::format(R"(label_join({}, "{}", " ")",
                                    with_window(panel.by_label, rate_window), kLineLabel);
    for (const std::string_view label : panel.labels) query += std::format(R"(, "{}")", label);
    return query + ")";
  }
  std::string query;
  for (const Line& line : panel.lines) {
    query += std::format(R"({}label_replace({}, "{}", "{}", "", ""))", query.empty() ? "" : " or ",
                         with_window(line.expression, rate_window), kLineLabel, line.name);
  }
  return query;
}

}  // namespace sluice::status
