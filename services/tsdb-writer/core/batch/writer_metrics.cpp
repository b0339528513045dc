#include "core/batch/writer_metrics.h"

#include <chrono>

namespace sluice::tsdb {
namespace {

Counter flushes_for(Registry& registry, const char* reason) {
  return registry.counter("sluice_tsdb_writer_flushes_total",
                          "Batches given to the database, by what made them due.",
                          {{"reason", reason}});
}

}  // namespace

WriterMetrics::WriterMetrics(Registry& registry)
    : records(registry.counter("sluice_tsdb_writer_records_total",
                               "Records whose samples and offsets were committed.")),
      rows(registry.counter("sluice_tsdb_writer_rows_total", "Rows written to `hot`.")),
      samples(registry.counter("sluice_tsdb_writer_samples_total", "Samples in those rows.")),
      chunk_bytes(registry.counter(
          "sluice_tsdb_writer_chunk_bytes_total",
          "Bytes of the chunks in those rows; divided by samples, what one costs.")),
      already_stored(
          registry.counter("sluice_tsdb_writer_spans_already_stored_total",
                           "Partitions left out of a flush because another writer, or an "
                           "earlier attempt, had stored their records.")),
      failures(
          registry.counter("sluice_tsdb_writer_flush_failures_total",
                           "Attempts to write a batch that failed; it is kept and tried again.")),
      pauses(registry.counter("sluice_tsdb_writer_pauses_total",
                              "Times that reading stopped because all batches were full.")),
      flushes{flushes_for(registry, "samples"), flushes_for(registry, "bytes"),
              flushes_for(registry, "age"), flushes_for(registry, "hand_over")},
      flush_seconds(registry.histogram("sluice_tsdb_writer_flush_seconds",
                                       "Time of a successful flush: encoding, COPY and commit.",
                                       latency_buckets_seconds())) {}

void WriterMetrics::note_committed(const Batch& batch, std::int64_t row_count,
                                   std::int64_t byte_count, std::chrono::nanoseconds took) {
  std::int64_t record_count = 0;
  for (const Batch::Taken& taken : batch.taken()) record_count += taken.records;
  records.add(static_cast<std::uint64_t>(record_count));
  rows.add(static_cast<std::uint64_t>(row_count));
  samples.add(batch.sample_count());
  chunk_bytes.add(static_cast<std::uint64_t>(byte_count));
  flush_seconds.observe(std::chrono::duration<double>(took).count());
}

}  // namespace sluice::tsdb
