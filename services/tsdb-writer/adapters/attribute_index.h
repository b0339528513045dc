#pragma once

#include "core/attributes/attribute_limits.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/kafka/consumer_loop.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/postgres/pool.h>

namespace sluice::tsdb {

/// What the registry says of one device.
struct DeviceAttributes {
  std::int64_t revision = 0;
  std::map<std::string, std::string> values;
};

/// Of a record of control.devices that is about a device: its tenant and id, and its attributes, or
/// none where the device is gone. nullopt for all other records.
struct AttributeChange {
  std::pair<std::string, std::string> device;
  std::optional<DeviceAttributes> attributes;
};
std::optional<AttributeChange> attribute_change_of(const kafka::RecordView& record);

/// Follows control.devices and keeps which attributes devices have, for queries that group by them.
/// Where to read on is kept with them, in `offsets`: tables that are new, or were set back, get all
/// of it again, whatever was read before. Records may come twice and, where the registry's
/// publisher changed, an older state after a newer one: the higher revision stays. One thread, the
/// loop's.
class AttributeIndex final : public kafka::RecordHandler {
 public:
  // As many as the registry publishes, and as long; what is more is left out here too.
  static constexpr std::size_t kMostAttributes = 16;
  static constexpr std::size_t kMaxNameBytes = 64;
  static constexpr std::size_t kMaxValueBytes = 128;

  /// What is passed by reference must outlive it, but the limits.
  AttributeIndex(const AttributeLimits& limits, postgres::Pool& pool, const Clock& clock,
                 const Logger& log, Registry& registry);

  Result<std::vector<kafka::StartPosition>> on_assigned(
      std::span<const kafka::TopicPartition> partitions) override;

  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  /// What the database refuses for good is left out and counted: one device's attributes must not
  /// hold up those of all others.
  Result<> on_poison(const kafka::RecordView& record, const Error& error, int attempts) override;

 private:
  void note_refused(const std::map<AttributeValue, AttributeRefusal>& refused);

  const AttributeLimits limits_;
  postgres::Pool& pool_;
  const Clock& clock_;
  const Logger& log_;
  Counter stored_;
  Counter left_out_;
  Counter too_many_names_;
  Counter too_many_values_;
  MonoTime tell_again_at_{};
};

}  // namespace sluice::tsdb
