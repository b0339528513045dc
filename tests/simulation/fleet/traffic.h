#pragma once

#include "fleet.h"  // of tests/sim
#include "registry/sim_registry.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::simulation {

/// Which message of which device.
struct Said {
  std::uint32_t device = 0;
  std::uint32_t sequence = 0;

  auto operator<=>(const Said&) const = default;
};

/// What the devices of a run say: sim::Fleet, and beside its defects, copies, wrong clocks and
/// absences also corrections, which say another value for the time of the message before, so that
/// the order in which messages take effect shows. A function of seed, device and number.
class Traffic {
 public:
  Traffic(std::uint64_t seed, std::vector<SimRegistry::Device> devices,
          std::vector<sim::Profile> profiles, std::int64_t start_ms, std::uint32_t messages);

  const sim::Fleet& fleet() const { return fleet_; }
  std::uint32_t size() const { return fleet_.size(); }
  /// Of each device.
  std::uint32_t messages() const { return messages_; }
  const SimRegistry::Device& device(std::uint32_t index) const { return devices_[index]; }
  const std::string& key(std::uint32_t index) const { return keys_[index]; }
  std::string topic(std::uint32_t index, std::string_view below) const;
  std::optional<std::uint32_t> find(std::string_view key) const;

  void write_payload(Said said, bool is_buffered, std::string& out) const;
  /// Which message of the device this is; nullopt: none that it ever said.
  std::optional<Said> read_payload(std::uint32_t device, std::string_view payload) const;

 private:
  bool is_correction(Said said) const;

  const std::uint64_t seed_;
  const std::vector<SimRegistry::Device> devices_;
  const std::uint32_t messages_;
  const sim::Fleet fleet_;
  std::vector<std::string> keys_;
  std::map<std::string, std::uint32_t, std::less<>> by_key_;
};

}  // namespace sluice::simulation
