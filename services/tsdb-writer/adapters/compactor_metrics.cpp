#include "adapters/compactor_metrics.h"

namespace sluice::tsdb {

CompactorMetrics::CompactorMetrics(Registry& registry)
    : debt_hours(
          registry.gauge("sluice_tsdb_compaction_debt_hours",
                         "Arrival hours that are over and not compacted; 0 where another leads.")),
      debt_bytes(registry.gauge("sluice_tsdb_compaction_debt_bytes",
                                "Bytes of those hours in `hot`, indexes included.")),
      debt_seconds(registry.gauge("sluice_tsdb_compaction_debt_seconds",
                                  "Time since the oldest of those hours was over.")),
      hours(registry.counter("sluice_tsdb_compaction_hours_total",
                             "Arrival hours that were compacted and dropped.")),
      rows_in(registry.counter("sluice_tsdb_compaction_rows_total", "Rows of `hot` dealt with.")),
      samples_in(registry.counter("sluice_tsdb_compaction_samples_total",
                                  "Samples in those rows, each as often as it was there.")),
      chunks(registry.counter("sluice_tsdb_compaction_chunks_total",
                              "Chunks written to the warm tier, rewritten ones included.")),
      chunk_samples(registry.counter("sluice_tsdb_compaction_chunk_samples_total",
                                     "Samples in those chunks.")),
      chunk_bytes(registry.counter("sluice_tsdb_compaction_chunk_bytes_total",
                                   "Bytes of those chunks; divided by chunk_samples, what one "
                                   "costs.")),
      rollup_rows(registry.counter("sluice_tsdb_compaction_rollup_rows_total",
                                   "Rows written to the roll-up tables.")),
      rollup_bytes(registry.counter("sluice_tsdb_compaction_rollup_bytes_total",
                                    "Bytes of roll-ups in those rows.")),
      merged_hours(registry.counter(
          "sluice_tsdb_compaction_merged_hours_total",
          "Hours of devices whose raw values were gone, so that late ones were merged into "
          "roll-ups.")),
      set_aside_rows(
          registry.counter("sluice_tsdb_compaction_set_aside_rows_total",
                           "Rows of `hot` that no chunk could be made of; they are in set_aside.")),
      slice_seconds(registry.histogram("sluice_tsdb_compaction_slice_seconds",
                                       "Time of one transaction of compaction.",
                                       latency_buckets_seconds())) {}

void CompactorMetrics::note_slice(const Work& work, std::chrono::nanoseconds took) {
  rows_in.add(work.rows_in);
  samples_in.add(work.samples_in);
  chunks.add(work.chunks);
  chunk_samples.add(work.chunk_samples);
  chunk_bytes.add(work.chunk_bytes);
  rollup_rows.add(work.rollup_rows);
  rollup_bytes.add(work.rollup_bytes);
  merged_hours.add(work.merged_hours);
  set_aside_rows.add(work.set_aside_rows);
  slice_seconds.observe(std::chrono::duration<double>(took).count());
}

void CompactorMetrics::note_debt(const CompactionDebt& debt) {
  debt_hours.set(static_cast<double>(debt.hours));
  debt_bytes.set(static_cast<double>(debt.bytes));
  debt_seconds.set(debt.oldest_seconds);
}

}  // namespace sluice::tsdb
