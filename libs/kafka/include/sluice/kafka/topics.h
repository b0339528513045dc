#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace sluice::kafka {

enum class Cleanup : std::uint8_t {
  kDelete,   // whole segments go when they are old
  kCompact,  // the newest record of each key stays for ever: the topic is a table
};

/// Retention of what is never deleted for its age.
inline constexpr std::chrono::hours kForever = std::chrono::hours::max();

/// Partitions of topics that need no number of their own, and so what an operator's choice is for.
inline constexpr std::int32_t kUsualPartitions = 12;

/// A topic of the platform: what it is called, what it carries and how Kafka is to keep it.
struct TopicSpec {
  std::string_view name{};  // without the namespace
  std::string_view message{};
  std::string_view key{};
  std::string_view producers{};
  std::string_view consumers{};
  Cleanup cleanup = Cleanup::kDelete;
  std::int32_t partitions = kUsualPartitions;
  std::chrono::hours retention = kForever;  // Kafka ignores it for Cleanup::kCompact
  // An operator's choice, see as_configured(). 0: the brokers' default.
  std::int32_t replication = 0;
  std::int32_t min_insync = 0;  // copies that must exist before a record is acknowledged
};

namespace topics {

using std::chrono::days;

// Partitions are the upper limit of consumers that share a topic: 12 divides evenly among 2, 3, 4,
// 6 and 12 of them. Tables are read whole by everybody, so few suffice. Retention of telemetry
// bounds how long a consumer may be down; the long-term copies are the archive and the time-series
// store.
inline constexpr TopicSpec kTelemetryRaw{"telemetry.raw",
                                         "telemetry.v1.RawMessage",
                                         "tenant/device",
                                         "mqtt-front, http-ingest",
                                         "schema-validator",
                                         Cleanup::kDelete,
                                         12,
                                         days(7)};
inline constexpr TopicSpec kTelemetryValid{"telemetry.valid",
                                           "telemetry.v1.ValidMessage",
                                           "tenant/device",
                                           "schema-validator",
                                           "rules-engine, tsdb-writer",
                                           Cleanup::kDelete,
                                           12,
                                           days(7)};
// As many partitions as telemetry.raw: a rejected message goes to the partition it came from.
inline constexpr TopicSpec kTelemetryRejected{"telemetry.rejected",
                                              "telemetry.v1.RejectedMessage",
                                              "tenant/device",
                                              "schema-validator",
                                              "operators",
                                              Cleanup::kDelete,
                                              12,
                                              days(30)};
inline constexpr TopicSpec kTelemetryLate{"telemetry.late",
                                          "telemetry.v1.ValidMessage",
                                          "tenant/device",
                                          "rules-engine",
                                          "tsdb-writer",
                                          Cleanup::kDelete,
                                          6,
                                          days(7)};
inline constexpr TopicSpec kTelemetryTimeseries{"telemetry.timeseries",
                                                "telemetry.v1.ValidMessage",
                                                "tenant/device",
                                                "rules-engine",
                                                "tsdb-writer",
                                                Cleanup::kDelete,
                                                12,
                                                days(7)};
inline constexpr TopicSpec kTelemetryArchive{"telemetry.archive",
                                             "telemetry.v1.ValidMessage",
                                             "tenant/device",
                                             "rules-engine",
                                             "archive-writer",
                                             Cleanup::kDelete,
                                             12,
                                             days(7)};
inline constexpr TopicSpec kTelemetryStream{"telemetry.stream",
                                            "telemetry.v1.ValidMessage",
                                            "tenant/device",
                                            "rules-engine",
                                            "operators",
                                            Cleanup::kDelete,
                                            12,
                                            days(1)};
inline constexpr TopicSpec kAlerts{
    "alerts", "rule.v1.Alert", "tenant/device", "rules-engine", "operators", Cleanup::kDelete,
    6,        days(30)};
inline constexpr TopicSpec kDeviceEvents{"device.events",
                                         "device.v1.DeviceEvent",
                                         "tenant/device",
                                         "mqtt-front, provisioning-ca",
                                         "device-registry, shadow-service",
                                         Cleanup::kDelete,
                                         12,
                                         days(7)};
inline constexpr TopicSpec kShadowRequests{"shadow.requests",
                                           "shadow.v1.ShadowRequest",
                                           "tenant/device",
                                           "mqtt-front, http-ingest",
                                           "shadow-service",
                                           Cleanup::kDelete,
                                           12,
                                           days(7)};
// Shadows must be rebuildable from their changes alone, so no change may go for its age.
inline constexpr TopicSpec kShadowChanges{"shadow.changes",
                                          "shadow.v1.ShadowChange",
                                          "tenant/device",
                                          "shadow-service",
                                          "shadow-service, operators",
                                          Cleanup::kCompact,
                                          12,
                                          kForever};
inline constexpr TopicSpec kAudit{
    "audit",     "common.v1.AuditRecord", "tenant", "every REST service",
    "operators", Cleanup::kDelete,        3,        days(365)};
inline constexpr TopicSpec kControlDevices{"control.devices",
                                           "device.v1.DeviceChange",
                                           "tenant/device",
                                           "device-registry, provisioning-ca",
                                           "mqtt-front, http-ingest, tsdb-writer, REST services",
                                           Cleanup::kCompact,
                                           12};
inline constexpr TopicSpec kControlRules{"control.rules",
                                         "rule.v1.RuleChange",
                                         "tenant/rule",
                                         "rules-engine",
                                         "rules-engine",
                                         Cleanup::kCompact,
                                         1};
inline constexpr TopicSpec kControlSchemas{"control.schemas",
                                           "schema.v1.SchemaChange",
                                           "tenant/schema/version",
                                           "schema-validator",
                                           "schema-validator",
                                           Cleanup::kCompact,
                                           1};
// As many partitions as telemetry.raw, and never more: a device's state is where its messages are.
inline constexpr TopicSpec kValidatorState{"validator.state",
                                           "telemetry.v1.ValidatorState",
                                           "tenant/device",
                                           "schema-validator",
                                           "schema-validator",
                                           Cleanup::kCompact,
                                           12};
inline constexpr TopicSpec kControlLimits{
    "control.limits",          "limits.v1.LimitChange", "tenant", "limits controller",
    "mqtt-front, http-ingest", Cleanup::kCompact,       1};

/// All of them: proto/README.md has them as a table, and a test compares names, messages and keys.
inline constexpr std::array kAll{
    kTelemetryRaw,        kTelemetryValid,   kTelemetryRejected, kTelemetryLate,
    kTelemetryTimeseries, kTelemetryArchive, kTelemetryStream,   kAlerts,
    kDeviceEvents,        kShadowRequests,   kShadowChanges,     kAudit,
    kControlDevices,      kControlRules,     kControlSchemas,    kValidatorState,
    kControlLimits};

}  // namespace topics

}  // namespace sluice::kafka
