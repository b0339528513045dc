#pragma once

#include "core/storage_layout.h"
#include "ports.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/series/chunk.h>

namespace sluice::tsdb {

/// The keys of the devices and metrics that were seen lately, so that the database is asked once
/// for each. What is not known yet is gathered while a lot of records is read, and resolve() asks
/// for all of it at once. One owner thread. Entries are valid until trim().
class Dictionary {
 public:
  struct Class;
  struct Metric {
    Class* of = nullptr;
    std::string name;
    std::string unit;
    series::ColumnType type = series::ColumnType::kDouble;
    /// Zero: not resolved, or the class has no room for it.
    MetricKey key{};
    bool is_pending = false;
    /// The metric that was asked for after this one: mostly the same again.
    Metric* following = nullptr;
  };
  struct Device {
    std::string tenant;
    std::string device;
    std::string fleet;
    Class* of = nullptr;
    DeviceKey key{};
    bool is_pending = false;
    // The group that its last message went to, while the batch is the same one.
    std::uint64_t batch_serial = 0;
    WallTime event_hour{};
    std::uint32_t span = 0;
    std::uint32_t group = 0;
  };

  explicit Dictionary(std::size_t max_devices) : max_devices_(max_devices) {}

  /// The views need not outlive the call.
  Device& device(const DeviceIdentity& identity);
  Metric& metric(Device& device, std::string_view name, series::ColumnType type,
                 std::string_view unit);

  /// Gives keys to all that is new or changed. After an error nothing is forgotten: call it again.
  Result<> resolve(DictionaryStore& store);
  /// Forgets all when it has become too many (they come back as they are seen), and metrics that
  /// were refused in any case. Does nothing while something is pending.
  void trim();

  std::size_t device_count() const { return devices_.size(); }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <typename Value>
  using ByName = std::unordered_map<std::string, std::unique_ptr<Value>, TextHash, std::equal_to<>>;

 public:
  struct Class {
    std::string tenant;
    std::string device_type;
    ByName<Metric> metrics;  // by name and a character for the type
    Metric* last = nullptr;  // that was asked for
  };

 private:
  Class& class_of(std::string_view tenant, std::string_view device_type);
  Metric& look_up(Class& of, std::string_view name, series::ColumnType type);
  void want(Device& device);
  void want(Metric& metric);

  std::size_t max_devices_;
  ByName<Device> devices_;  // by tenant '/' device
  ByName<Class> classes_;   // by tenant '/' class
  std::string scratch_;
  std::vector<Device*> pending_devices_;
  std::vector<Metric*> pending_metrics_;
  std::vector<Metric*> refused_metrics_;
};

}  // namespace sluice::tsdb
