#include "core/batch/group_encoder.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace sluice::tsdb {
namespace {

// Of the remarks about a whole message, which belong to no metric.
const MetricKey kNoMetric{0};

}  // namespace

Result<std::optional<GroupEncoder::Encoded>> GroupEncoder::encode(const Batch& batch,
                                                                  GroupIndex group,
                                                                  series::TimeRange range,
                                                                  std::vector<std::byte>& out) {
  collect_rows(batch, group, range);
  if (times_.empty()) return std::nullopt;
  slot_count_ = 0;
  next_slot_ = 0;
  has_remarks_ = false;
  place_samples(batch);
  order_.resize(slot_count_);
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::ranges::sort(order_, [&](std::size_t a, std::size_t b) {
    return std::pair(std::string_view(slots_[a].name), slots_[a].type) <
           std::pair(std::string_view(slots_[b].name), slots_[b].type);
  });
  const auto column_at = [&](std::size_t i) { return column_of(batch, slots_[order_[i]]); };
  SLUICE_TRY(encoder_.encode(times_, slot_count_, column_at, out));
  return Encoded{.times = static_cast<std::int32_t>(times_.size()),
                 .first_ms = times_.front(),
                 .last_ms = times_.back()};
}

/// Runs in order of time, those of one time in order of arrival; and the different times.
void GroupEncoder::collect_rows(const Batch& batch, GroupIndex group, series::TimeRange range) {
  runs_.clear();
  times_.clear();
  bool is_sorted = true;
  const std::span all = batch.runs();
  for (std::uint32_t run = batch.groups()[group].first_run; run != Batch::kNone;
       run = all[run].next) {
    const std::int64_t time = all[run].time_ms;
    if (time < range.from || time >= range.to) continue;
    is_sorted = is_sorted && (runs_.empty() || runs_.back().time_ms <= time);
    runs_.push_back({time, run});
  }
  if (!is_sorted) std::ranges::stable_sort(runs_, {}, &RunAt::time_ms);
  for (const RunAt& run : runs_) {
    if (times_.empty() || times_.back() != run.time_ms) times_.push_back(run.time_ms);
  }
}

void GroupEncoder::place_samples(const Batch& batch) {
  const std::span all = batch.runs();
  std::uint32_t row = 0;
  for (const RunAt& at : runs_) {
    if (times_[row] != at.time_ms) ++row;
    const Batch::Run& run = all[at.run];
    for (const BatchSample& sample : batch.samples_of(run)) {
      put(slot_of(sample.metric, sample.type, false), row, sample.bits);
      // Once a metric has remarks here, a value without any says so, lest it inherit those of the
      // value that it overrides.
      if (sample.remarks != 0) {
        has_remarks_ = true;
        put(slot_of(sample.metric, series::ColumnType::kInt64, true), row, sample.remarks);
      } else if (!has_remarks_) {
        continue;
      } else if (Slot* remarks = find_slot(sample.metric, series::ColumnType::kInt64, true)) {
        if (remarks->rows.back() == row) put(*remarks, row, 0);
      }
    }
    if (run.remarks != 0) {
      put(slot_of(kNoMetric, series::ColumnType::kInt64, true), row, run.remarks);
    }
  }
}

/// Rows come in their order, so that a value is of the last one or of a new one.
void GroupEncoder::put(Slot& slot, std::uint32_t row, std::uint64_t bits) {
  if (!slot.rows.empty() && slot.rows.back() == row) {
    slot.bits.back() = bits;
    return;
  }
  slot.rows.push_back(row);
  slot.bits.push_back(bits);
}

GroupEncoder::Slot* GroupEncoder::find_slot(MetricKey metric, series::ColumnType type,
                                            bool is_remarks) {
  const auto is_it = [&](const Slot& slot) {
    return slot.metric == metric && slot.type == type && slot.is_remarks == is_remarks;
  };
  if (next_slot_ >= slot_count_) next_slot_ = 0;
  if (next_slot_ < slot_count_ && is_it(slots_[next_slot_])) return &slots_[next_slot_++];
  for (std::size_t i = 0; i < slot_count_; ++i) {
    if (!is_it(slots_[i])) continue;
    next_slot_ = i + 1;
    return &slots_[i];
  }
  return nullptr;
}

GroupEncoder::Slot& GroupEncoder::slot_of(MetricKey metric, series::ColumnType type,
                                          bool is_remarks) {
  if (Slot* found = find_slot(metric, type, is_remarks)) return *found;
  if (slot_count_ == slots_.size()) slots_.emplace_back();
  Slot& slot = slots_[slot_count_++];
  slot.metric = metric;
  slot.type = type;
  slot.is_remarks = is_remarks;
  slot.name = metric == kNoMetric ? std::string(kMessageRemarksColumn)
              : is_remarks        ? column_of_remarks(metric)
                                  : column_of_metric(metric);
  slot.rows.clear();
  slot.bits.clear();
  next_slot_ = slot_count_;
  return slot;
}

series::Column GroupEncoder::column_of(const Batch& batch, const Slot& slot) {
  series::Column column{.key = slot.name, .type = slot.type};
  const auto gather = [&](auto& values, const auto& value_of) {
    values.clear();
    for (const std::uint64_t bits : slot.bits) values.push_back(value_of(bits));
  };
  switch (slot.type) {
    case series::ColumnType::kDouble:
      gather(doubles_, [](std::uint64_t bits) { return std::bit_cast<double>(bits); });
      column.doubles = doubles_;
      break;
    case series::ColumnType::kInt64:
      gather(integers_, [](std::uint64_t bits) { return static_cast<std::int64_t>(bits); });
      column.integers = integers_;
      break;
    case series::ColumnType::kBool:
      gather(booleans_, [](std::uint64_t bits) { return static_cast<std::uint8_t>(bits); });
      column.booleans = booleans_;
      break;
    case series::ColumnType::kString:
    case series::ColumnType::kBytes:
      gather(texts_, [&](std::uint64_t bits) { return batch.text_of(bits); });
      column.texts = texts_;
      break;
  }
  if (slot.rows.size() != times_.size()) {
    present_.assign(times_.size(), 0);
    for (const std::uint32_t row : slot.rows) present_[row] = 1;
    column.present = present_;
  }
  return column;
}

}  // namespace sluice::tsdb
