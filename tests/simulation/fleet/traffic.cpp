#include "fleet/traffic.h"

#include <format>
#include <utility>

#include <sluice/testing/sim_random.h>

namespace sluice::simulation {
namespace {

/// More of everything than a real fleet has: a run is short.
sim::FleetOptions options(std::uint64_t seed) {
  return {.seed = seed,
          .rate = 2,
          .qos_0_share = 0.15,
          .qos_2_share = 0.25,
          .bad_share = 0.05,
          .repeated_share = 0.05,
          .skewed_share = 0.1,
          .offline_share = 0.3,
          .offline_for = std::chrono::milliseconds(3'000)};
}

constexpr double kCorrections = 0.15;
constexpr std::string_view kFirstField = R"({"ts":)";

}  // namespace

Traffic::Traffic(std::uint64_t seed, std::vector<SimRegistry::Device> devices,
                 std::vector<sim::Profile> profiles, std::int64_t start_ms, std::uint32_t messages)
    : seed_(seed),
      devices_(std::move(devices)),
      messages_(messages),
      fleet_(options(seed), std::move(profiles), start_ms) {
  for (const SimRegistry::Device& device : devices_) {
    by_key_.emplace(device.tenant + "/" + device.id, static_cast<std::uint32_t>(keys_.size()));
    keys_.push_back(device.tenant + "/" + device.id);
  }
}

std::string Traffic::topic(std::uint32_t index, std::string_view below) const {
  return std::format("tenant/{}/device/{}/{}", devices_[index].tenant, devices_[index].id, below);
}

std::optional<std::uint32_t> Traffic::find(std::string_view key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? std::nullopt : std::optional(found->second);
}

bool Traffic::is_correction(Said said) const {
  if (said.sequence == 0) return false;
  return testing::SimRandom(seed_ ^ (std::uint64_t{said.device} << 32U) ^ said.sequence)
      .chance(kCorrections);
}

void Traffic::write_payload(Said said, bool is_buffered, std::string& out) const {
  fleet_.write_payload(said.device, said.sequence, is_buffered, out);
  if (!is_correction(said)) return;
  const std::size_t end = out.find(',');
  out.replace(kFirstField.size(), end - kFirstField.size(),
              std::to_string(fleet_.device_time_ms(said.device, said.sequence - 1)));
}

std::optional<Said> Traffic::read_payload(std::uint32_t device, std::string_view payload) const {
  const std::int64_t sequence = sim::sequence_of(payload);
  if (sequence < 0 || sequence >= messages_) return std::nullopt;
  const Said said{device, static_cast<std::uint32_t>(sequence)};
  std::string expected;
  for (const bool is_buffered : {false, true}) {
    write_payload(said, is_buffered, expected);
    if (payload == expected) return said;
  }
  return std::nullopt;
}

}  // namespace sluice::simulation
