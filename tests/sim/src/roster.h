#pragma once

#include "fleet.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/swarm/loop.h>

namespace sluice::sim {

/// A device as the registry made it.
struct RegisteredDevice {
  Profile profile = Profile::kSensor;
  std::string tenant{};
  std::string id{};
  std::string token{};      // empty where a certificate is the proof
  std::string cert_file{};  // PEM
  std::string key_file{};
};

/// All devices of a run. Immutable.
class Roster final : public swarm::Identities {
 public:
  /// A line a device: `profile,tenant,device,token` or `profile,tenant,device,,certificate,key`
  /// with paths of PEM files. Blank lines and lines that begin with # are passed over.
  static Result<Roster> parse(std::string_view text);
  explicit Roster(std::vector<RegisteredDevice> devices);

  std::uint32_t size() const { return static_cast<std::uint32_t>(devices_.size()); }
  const RegisteredDevice& operator[](std::uint32_t device) const { return devices_[device]; }
  std::vector<Profile> profiles() const;
  std::string topic(std::uint32_t device) const;
  /// Of a record's key, tenant/device; -1: none of ours.
  std::int64_t find(std::string_view key) const;

  swarm::Identity identity(std::uint32_t index) const override;

 private:
  std::vector<RegisteredDevice> devices_;
  std::unordered_map<std::string, std::uint32_t> by_key_;
};

}  // namespace sluice::sim
