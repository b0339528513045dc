#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/mqtt/protocol.h>

namespace sluice::sim {

/// What kind of thing a device is. The names are those of the device classes, with "sim-" before.
enum class Profile : std::uint8_t { kMeter, kVehicle, kSensor };
inline constexpr std::size_t kProfiles = 3;
std::string_view to_string(Profile profile);

/// What is wrong with a message. Each is one that every validator must refuse, whatever its
/// schemas.
enum class Defect : std::uint8_t { kNone, kTruncated, kUnknownShape, kNumberOutOfRange };

/// Shares are of 0 to 1.
struct FleetOptions {
  std::uint64_t seed = 1;
  double rate = 0.5;              // messages a second of each device, on average
  double qos_0_share = 0.1;       // of messages; what is left of both is QoS 1
  double qos_2_share = 0.1;       // of messages
  double mqtt_5_share = 0.5;      // of devices; the others speak 3.1.1
  double bad_share = 0.002;       // of messages
  double repeated_share = 0.005;  // of messages: published twice with one number
  double skewed_share = 0.02;     // of devices: their clocks are wrong by hours
  double offline_share = 0.1;     // of devices: away now and then
  std::chrono::milliseconds offline_for{8'000};
};

/// One value of a message. All numbers are `mantissa` / 10^`decimals`, so that text and value have
/// one meaning and no rounding.
struct Metric {
  enum class Kind : std::uint8_t { kInteger, kDecimal, kFlag };
  std::string_view name;
  std::int64_t mantissa = 0;
  int decimals = 0;  // of kDecimal: at least one
  Kind kind = Kind::kInteger;

  double value() const;
  void append_to(std::string& out) const;  // as JSON
};
inline constexpr std::size_t kMetrics = 4;  // of every profile

/// Everything that a device does by itself, as a function of (seed, device, sequence): nothing of
/// it is stored, whoever checks computes it again. Times are since the start of the run. Pure.
class Fleet {
 public:
  using Time = std::chrono::milliseconds;

  /// `profiles`: of each device. `start_ms`: since the epoch, what devices' clocks count from.
  Fleet(const FleetOptions& options, std::vector<Profile> profiles, std::int64_t start_ms);

  const FleetOptions& options() const { return options_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(profiles_.size()); }
  std::int64_t start_ms() const { return start_ms_; }
  Profile profile(std::uint32_t device) const { return profiles_[device]; }
  mqtt::Version version(std::uint32_t device) const;
  Time clock_skew(std::uint32_t device) const;
  /// Whether it is one of that share of devices.
  bool prefers_tls(std::uint32_t device, double share) const;
  bool is_offline(std::uint32_t device, Time now) const;
  /// When it next comes or goes after `now`; Time::max() where it never does.
  Time next_change(std::uint32_t device, Time now) const;

  /// When the device makes the message. Vehicles make theirs in bursts.
  Time due(std::uint32_t device, std::uint32_t sequence) const;
  mqtt::Qos qos(std::uint32_t device, std::uint32_t sequence) const;
  Defect defect(std::uint32_t device, std::uint32_t sequence) const;
  bool is_repeated(std::uint32_t device, std::uint32_t sequence) const;
  /// As the device's own clock has it, since the epoch: different for each of its messages.
  std::int64_t device_time_ms(std::uint32_t device, std::uint32_t sequence) const;
  std::array<Metric, kMetrics> metrics(std::uint32_t device, std::uint32_t sequence) const;

  /// Replaces `out`.
  void write_payload(std::uint32_t device, std::uint32_t sequence, bool is_buffered,
                     std::string& out) const;

 private:
  enum class Aspect : std::uint64_t;
  std::uint64_t draw(Aspect aspect, std::uint32_t device, std::uint64_t number = 0) const;
  bool chance(double share, Aspect aspect, std::uint32_t device, std::uint64_t number = 0) const;
  Time offline_phase(std::uint32_t device) const;

  FleetOptions options_;
  std::vector<Profile> profiles_;
  std::int64_t start_ms_;
};

/// The sequence number in a payload that a Fleet wrote, defective ones included; -1: it is none.
std::int64_t sequence_of(std::string_view payload);

}  // namespace sluice::sim
