#include "adapters/dry_run.h"

#include <algorithm>
#include <utility>

#include <sluice/kafka/topics.h>

namespace sluice::validator {
namespace {

constexpr std::string_view kRaw = kafka::topics::kTelemetryRaw.name;
constexpr std::size_t kMaxCauses = 100;

}  // namespace

DryRun::DryRun(const Options& options, const PipelineSettings& settings,
               std::unique_ptr<kafka::TopicAdmin> admin,
               std::unique_ptr<kafka::PartitionReader> reader)
    : options_(options),
      pipeline_(settings, metrics_),
      admin_(std::move(admin)),
      reader_(std::move(reader)) {}

Result<DryRun::Report> DryRun::run(const TenantId& tenant, std::string_view schema_id,
                                   const CompiledSchema& schema, std::int64_t limit) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return fail(ErrorCode::kResourceExhausted, "another dry run is at work: try later");
  SLUICE_TRY_ASSIGN(const auto topic, admin_->describe(kRaw, options_.timeout));
  const std::int64_t most = limit > 0 ? std::min(limit, options_.messages) : options_.messages;
  std::vector<kafka::Stretch> stretches;
  for (std::int32_t i = 0; i < topic.partitions; ++i) {
    stretches.push_back({.partition = {std::string(kRaw), kafka::Partition(i)},
                         .from = {},
                         .to = {},
                         .last = std::max<std::int64_t>(1, most / topic.partitions)});
  }
  Report report;
  causes_.clear();
  const auto read =
      reader_->read(stretches, options_.timeout, [&](const kafka::RecordView& record) {
        judge(record, tenant, schema_id, schema, report);
        return true;
      });
  if (!read && read.error().code() != ErrorCode::kDeadlineExceeded) return fail(read.error());
  report.is_complete = read.has_value();
  for (auto& [key, cause] : causes_) report.causes.push_back(std::move(cause));
  std::ranges::sort(report.causes, std::ranges::greater(), &Cause::count);
  return report;
}

void DryRun::judge(const kafka::RecordView& record, const TenantId& tenant,
                   std::string_view schema_id, const CompiledSchema& schema, Report& report) {
  ++report.looked_at;
  const auto raw = ingest::read_raw_message(record.value.value_or(""));
  if (!raw || raw->tenant != tenant.value() || SchemaRef::parse(raw->schema_id).id != schema_id) {
    return;
  }
  ++report.judged;
  const auto rejection = pipeline_.try_schema(*raw, schema);
  if (!rejection) return;
  ++report.rejected;
  const std::pair key(std::string(name_of(rejection->reason)), rejection->pointer);
  auto found = causes_.find(key);
  if (found == causes_.end()) {
    if (causes_.size() >= kMaxCauses) return;
    found = causes_
                .emplace(key, Cause{.reason = key.first,
                                    .pointer = key.second,
                                    .count = 0,
                                    .detail = rejection->detail,
                                    .device_id = std::string(raw->device),
                                    .partition = record.partition.value(),
                                    .offset = record.offset.value()})
                .first;
  }
  ++found->second.count;
}

}  // namespace sluice::validator
