#include "core/batch/flusher.h"

#include "core/batch/batch_rows.h"

#include <utility>
#include <vector>

namespace sluice::tsdb {

Flusher::Flusher(Backoff::Policy retry, const Clock& clock, Random& random, WriterMetrics& metrics,
                 HotStore& store)
    : clock_(clock), metrics_(metrics), store_(store), backoff_(retry, random) {}

FlushOutcome Flusher::attempt(const Batch& batch) {
  std::vector<PartitionSpan> spans;
  for (const Batch::Taken& taken : batch.taken()) spans.push_back(taken.span);
  BatchRows rows(batch);
  const MonoTime began = clock_.mono();
  const auto report = store_.flush(spans, rows);
  if (report) {
    backoff_.reset();
    metrics_.already_stored.add(report->partitions_left_out);
    metrics_.note_committed(batch, report->rows, rows.chunk_bytes(), clock_.mono() - began);
    return {.is_turn = std::exchange(is_failing_, false)};
  }
  metrics_.failures.add();
  FlushOutcome outcome{.failure = report.error(), .is_turn = !std::exchange(is_failing_, true)};
  if (report.error().reason() == kOffsetsWentBack) {
    outcome.next = FlushOutcome::Next::kEnd;
  } else {
    outcome.next = FlushOutcome::Next::kTryAgain;
    outcome.wait = backoff_.next();
  }
  return outcome;
}

}  // namespace sluice::tsdb
