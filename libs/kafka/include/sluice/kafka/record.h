#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/strong_id.h>

namespace sluice::kafka {

/// Place of a record in its partition. A *position* is the offset of the next record to come.
using Offset = StrongId<struct OffsetTag, std::int64_t>;
using Partition = StrongId<struct PartitionTag, std::int32_t>;

/// Topics are everywhere named without the namespace ("telemetry.raw"): the adapters add it.
struct TopicPartition {
  std::string topic;
  Partition partition;

  auto operator<=>(const TopicPartition&) const = default;
};

/// One header. The platform sends `traceparent` alone; see kTraceHeader.
struct Header {
  std::string_view name;
  std::string_view value;
};

/// W3C trace context, on every record that has one.
inline constexpr std::string_view kTraceHeader = "traceparent";

/// A record to append. Everything in it is a view, read before the call that takes it returns.
struct Record {
  std::string_view topic{};
  /// Decides the partition, and with it the order. Empty: no key, any partition.
  std::string_view key{};
  /// nullopt deletes the key from a compacted topic. An empty value is a value: it is what a
  /// Protobuf message of defaults looks like.
  std::optional<std::string_view> value{};
  std::span<const Header> headers{};
  /// Kafka's own timestamp of the record; nullopt: when it is appended.
  std::optional<WallTime> timestamp{};
  /// Where the caller has computed the partition already (partition_for_key); nullopt: by key.
  std::optional<Partition> partition{};
};

/// A record that was read. Views into memory of the consumer: see who hands it out for how long.
struct RecordView {
  using FindHeader = std::optional<std::string_view> (*)(const void* native, std::string_view name);

  std::string_view topic{};
  Partition partition{};
  Offset offset{};
  std::string_view key{};
  std::optional<std::string_view> value{};
  WallTime timestamp{};

  /// Looked for only when asked, because most records' headers are never read.
  std::optional<std::string_view> header(std::string_view name) const {
    return find_header == nullptr ? std::nullopt : find_header(native, name);
  }

  // How header() finds its answer; set by the consumer.
  FindHeader find_header = nullptr;
  const void* native = nullptr;
};

/// The partition that Kafka's own clients in Java choose for a key (murmur2), and our producers
/// too: who sends many records of few keys computes it once and passes it in Record::partition.
Partition partition_for_key(std::string_view key, std::int32_t partition_count);

}  // namespace sluice::kafka
