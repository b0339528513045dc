#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <sluice/base/result.h>
#include <sluice/kafka/consumer_loop.h>
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
/// Records may come twice and, where the registry's publisher changed, an older state after a newer
/// one: the higher revision stays. One thread, the loop's.
class AttributeIndex final : public kafka::RecordHandler {
 public:
  // As many as the registry publishes, and as long; what is more is left out here too.
  static constexpr std::size_t kMostAttributes = 16;
  static constexpr std::size_t kMaxNameBytes = 64;
  static constexpr std::size_t kMaxValueBytes = 128;

  /// Both must outlive it.
  AttributeIndex(postgres::Pool& pool, Registry& registry);

  Result<> on_batch(std::span<const kafka::RecordView> records,
                    kafka::ConsumerControl& control) override;
  /// What the database refuses for good is left out and counted: one device's attributes must not
  /// hold up those of all others.
  Result<> on_poison(const kafka::RecordView& record, const Error& error, int attempts) override;

 private:
  postgres::Pool& pool_;
  Counter stored_;
  Counter left_out_;
};

}  // namespace sluice::tsdb
