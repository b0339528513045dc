#pragma once

#include "core/pipeline.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/kafka/partition_reader.h>
#include <sluice/kafka/topic_admin.h>

namespace sluice::validator {

/// Tries a schema on the most recent messages of the devices that have it: what would it have
/// rejected? Reads telemetry.raw outside of any group, bounded in messages and time; one at a time.
/// Thread-safe.
class DryRun {
 public:
  struct Options {
    std::int64_t messages = 10'000;  // looked at, of all devices
    std::chrono::milliseconds timeout{10'000};
  };
  struct Cause {
    std::string reason{};
    std::string pointer{};
    std::int64_t count = 0;
    std::string detail{};  // of the first message, as are these
    std::string device_id{};
    std::int64_t partition = 0;
    std::int64_t offset = 0;
  };
  struct Report {
    std::int64_t looked_at = 0;  // records of telemetry.raw
    std::int64_t judged = 0;     // of devices that have the schema
    std::int64_t rejected = 0;
    bool is_complete = true;  // false: the time was up
    std::vector<Cause> causes{};
  };

  /// Everything passed must outlive it.
  DryRun(const Options& options, const PipelineSettings& settings,
         std::unique_ptr<kafka::TopicAdmin> admin, std::unique_ptr<kafka::PartitionReader> reader);

  /// kResourceExhausted while another one is at work. `limit` 0: the most.
  Result<Report> run(const TenantId& tenant, std::string_view schema_id,
                     const CompiledSchema& schema, std::int64_t limit);

 private:
  void judge(const kafka::RecordView& record, const TenantId& tenant, std::string_view schema_id,
             const CompiledSchema& schema, Report& report);

  const Options options_;
  std::mutex mutex_;  // held for as long as one takes
  Registry scratch_;  // what is tried is not counted with what happened
  PipelineMetrics metrics_{scratch_};
  Pipeline pipeline_;
  std::unique_ptr<kafka::TopicAdmin> admin_;
  std::unique_ptr<kafka::PartitionReader> reader_;
  std::map<std::pair<std::string, std::string>, Cause> causes_;
};

}  // namespace sluice::validator
