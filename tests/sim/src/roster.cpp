#include "roster.h"

#include <array>
#include <format>
#include <utility>

namespace sluice::sim {

namespace {

std::string_view take_until(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const auto taken = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return taken;
}

constexpr std::array kAll{Profile::kMeter, Profile::kVehicle, Profile::kSensor};

}  // namespace

Result<Roster> Roster::parse(std::string_view text) {
  std::vector<RegisteredDevice> devices;
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = take_until(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const auto profile = take_until(line, ',');
    const auto* const known = std::ranges::find(kAll, profile, to_string);
    if (known == kAll.end()) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("line {}: '{}' is none of meter, vehicle, sensor", number, profile));
    }
    RegisteredDevice device{.profile = *known};
    for (std::string* field :
         {&device.tenant, &device.id, &device.token, &device.cert_file, &device.key_file}) {
      *field = take_until(line, ',');
    }
    if (device.tenant.empty() || device.id.empty() ||
        device.cert_file.empty() != device.key_file.empty()) {
      return fail(
          ErrorCode::kInvalidArgument,
          std::format("line {}: wants profile,tenant,device,token[,certificate,key]", number));
    }
    devices.push_back(std::move(device));
  }
  if (devices.empty()) return fail(ErrorCode::kInvalidArgument, "no device in the list");
  return Roster(std::move(devices));
}

Roster::Roster(std::vector<RegisteredDevice> devices) : devices_(std::move(devices)) {
  for (std::uint32_t device = 0; device < size(); ++device) {
    by_key_.emplace(devices_[device].tenant + "/" + devices_[device].id, device);
  }
}

std::vector<Profile> Roster::profiles() const {
  std::vector<Profile> profiles;
  for (const RegisteredDevice& device : devices_) profiles.push_back(device.profile);
  return profiles;
}

std::string Roster::topic(std::uint32_t device) const {
  return std::format("tenant/{}/device/{}/telemetry", devices_[device].tenant, devices_[device].id);
}

std::int64_t Roster::find(std::string_view key) const {
  const auto found = by_key_.find(std::string(key));
  return found != by_key_.end() ? std::int64_t{found->second} : -1;
}

swarm::Identity Roster::identity(std::uint32_t index) const {
  const RegisteredDevice& device = devices_[index];
  swarm::Identity identity{.client_id = device.id};
  if (!device.token.empty()) {
    // A password without a user name is for MQTT 5 alone [MQTT-3.1.2-22].
    identity.user = device.id;
    identity.password = device.token;
  }
  return identity;
}

}  // namespace sluice::sim
