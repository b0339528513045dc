#include "adapters/query_metrics.h"

namespace sluice::tsdb {

void QueryMetrics::note(std::string_view endpoint, const Result<>& outcome,
                        std::chrono::nanoseconds took) {
  const std::string name(endpoint);
  const std::string ended(outcome ? "ok" : to_string(outcome.error().code()));
  registry_
      .counter("sluice_tsdb_queries_total", "Queries answered or refused.",
               {{"endpoint", name}, {"outcome", ended}})
      .add();
  registry_
      .histogram("sluice_tsdb_query_seconds", "From the request to the last byte of its answer.",
                 latency_buckets_seconds(), {{"endpoint", name}})
      .observe(std::chrono::duration<double>(took).count());
}

void QueryMetrics::note_answer(const AnswerSize& size, const std::vector<std::string>& tiers) {
  registry_.counter("sluice_tsdb_query_points_total", "Values that queries gave.").add(size.points);
  registry_.counter("sluice_tsdb_query_answer_bytes_total", "Bytes of the answers of queries.")
      .add(size.bytes);
  for (const std::string& tier : tiers) {
    registry_
        .counter("sluice_tsdb_query_tiers_total", "Queries that a tier answered, or helped to.",
                 {{"tier", tier}})
        .add();
  }
}

}  // namespace sluice::tsdb
