#include "fleet.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>
#include <iterator>
#include <utility>

namespace sluice::sim {

namespace {

using std::chrono::milliseconds;

/// Messages of one burst of a vehicle, and what is between them.
constexpr std::uint32_t kBurst = 5;
constexpr milliseconds kInBurst(50);
/// How much longer than a device's absence its coming and going takes.
constexpr int kOfflineCycle = 5;

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

/// Up from 0 to `height` and down again, a step of 1 each.
std::int64_t wave(std::uint64_t at, std::int64_t height) {
  const auto period = static_cast<std::uint64_t>(2 * height);
  const auto place = static_cast<std::int64_t>(at % period);
  return place < height ? place : 2 * height - place;
}

std::int64_t power_of_ten(int exponent) {
  std::int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

}  // namespace

/// What a number is drawn for, so that no two choices follow from each other.
enum class Fleet::Aspect : std::uint64_t {
  kVersion = 1,
  kIsSkewed,
  kSkew,
  kGoesOffline,
  kOfflinePhase,
  kPhase,
  kQos,
  kIsBad,
  kDefect,
  kIsRepeated,
  kBase,
  kNoise,
  kTransport,
};

std::string_view to_string(Profile profile) {
  switch (profile) {
    case Profile::kMeter:
      return "meter";
    case Profile::kVehicle:
      return "vehicle";
    case Profile::kSensor:
      return "sensor";
  }
  return "unknown";
}

double Metric::value() const {
  // Exact: both are below 2^53, and a division is rounded once, as reading the text is.
  return static_cast<double>(mantissa) / static_cast<double>(power_of_ten(decimals));
}

void Metric::append_to(std::string& out) const {
  const auto end = std::back_inserter(out);
  if (kind == Kind::kFlag) {
    out += mantissa != 0 ? "true" : "false";
  } else if (kind == Kind::kInteger) {
    std::format_to(end, "{}", mantissa);
  } else {
    const std::int64_t one = power_of_ten(decimals);
    const std::int64_t size = mantissa < 0 ? -mantissa : mantissa;
    std::format_to(end, "{}{}.{:0{}}", mantissa < 0 ? "-" : "", size / one, size % one, decimals);
  }
}

Fleet::Fleet(const FleetOptions& options, std::vector<Profile> profiles, std::int64_t start_ms)
    : options_(options), profiles_(std::move(profiles)), start_ms_(start_ms) {}

std::uint64_t Fleet::draw(Aspect aspect, std::uint32_t device, std::uint64_t number) const {
  const auto which = static_cast<std::uint64_t>(aspect);
  return mix(mix(mix(options_.seed ^ (which << 32U)) ^ device) ^ number);
}

bool Fleet::chance(double share, Aspect aspect, std::uint32_t device, std::uint64_t number) const {
  constexpr double kScale = 1.0 / 9007199254740992.0;  // 2^-53
  return static_cast<double>(draw(aspect, device, number) >> 11U) * kScale < share;
}

mqtt::Version Fleet::version(std::uint32_t device) const {
  return chance(options_.mqtt_5_share, Aspect::kVersion, device) ? mqtt::Version::kV5
                                                                 : mqtt::Version::kV311;
}

Fleet::Time Fleet::clock_skew(std::uint32_t device) const {
  if (!chance(options_.skewed_share, Aspect::kIsSkewed, device)) return Time(0);
  // An hour to a day ahead: no platform can take that for an event's time. Clocks that are behind
  // look like messages that were stored for long, which is another matter.
  return std::chrono::hours(1 + draw(Aspect::kSkew, device) % 24);
}

bool Fleet::prefers_tls(std::uint32_t device, double share) const {
  return chance(share, Aspect::kTransport, device);
}

Fleet::Time Fleet::offline_phase(std::uint32_t device) const {
  const Time cycle = options_.offline_for * kOfflineCycle;
  return Time(static_cast<std::int64_t>(draw(Aspect::kOfflinePhase, device) %
                                        static_cast<std::uint64_t>(cycle.count())));
}

bool Fleet::is_offline(std::uint32_t device, Time now) const {
  if (options_.offline_for <= Time(0)) return false;
  if (!chance(options_.offline_share, Aspect::kGoesOffline, device)) return false;
  const Time at = now + offline_phase(device);
  return at % (options_.offline_for * kOfflineCycle) < options_.offline_for;
}

Fleet::Time Fleet::next_change(std::uint32_t device, Time now) const {
  if (options_.offline_for <= Time(0)) return Time::max();
  if (!chance(options_.offline_share, Aspect::kGoesOffline, device)) return Time::max();
  const Time cycle = options_.offline_for * kOfflineCycle;
  const Time at = (now + offline_phase(device)) % cycle;
  return now + (at < options_.offline_for ? options_.offline_for - at : cycle - at);
}

Fleet::Time Fleet::due(std::uint32_t device, std::uint32_t sequence) const {
  const double interval_ms = 1000.0 / options_.rate;
  const bool bursts =
      profiles_[device] == Profile::kVehicle && interval_ms > 2.0 * kInBurst.count();
  const std::uint64_t together = bursts ? kBurst : 1;
  // The first one comes anywhere in the first interval, so that devices do not speak in chorus.
  const double phase = static_cast<double>(draw(Aspect::kPhase, device) % 1000) / 1000.0;
  const auto turn = static_cast<double>(sequence / together) + phase;
  const auto begin = static_cast<std::int64_t>(turn * static_cast<double>(together) * interval_ms);
  return Time(begin) + kInBurst * static_cast<std::int64_t>(sequence % together);
}

mqtt::Qos Fleet::qos(std::uint32_t device, std::uint32_t sequence) const {
  if (chance(options_.qos_0_share, Aspect::kQos, device, sequence)) return mqtt::Qos::kAtMostOnce;
  const double below = options_.qos_0_share + options_.qos_2_share;
  return chance(below, Aspect::kQos, device, sequence) ? mqtt::Qos::kExactlyOnce
                                                       : mqtt::Qos::kAtLeastOnce;
}

Defect Fleet::defect(std::uint32_t device, std::uint32_t sequence) const {
  if (!chance(options_.bad_share, Aspect::kIsBad, device, sequence)) return Defect::kNone;
  return static_cast<Defect>(1 + draw(Aspect::kDefect, device, sequence) % 3);
}

bool Fleet::is_repeated(std::uint32_t device, std::uint32_t sequence) const {
  return chance(options_.repeated_share, Aspect::kIsRepeated, device, sequence);
}

std::int64_t Fleet::device_time_ms(std::uint32_t device, std::uint32_t sequence) const {
  return start_ms_ + (due(device, sequence) + clock_skew(device)).count();
}

std::array<Metric, kMetrics> Fleet::metrics(std::uint32_t device, std::uint32_t sequence) const {
  const std::uint64_t base = draw(Aspect::kBase, device);
  const std::uint64_t noise = draw(Aspect::kNoise, device, sequence);
  const auto small = [&](unsigned shift, std::uint64_t below) {
    return static_cast<std::int64_t>((noise >> shift) % below);
  };
  const std::int64_t number = sequence;
  using enum Metric::Kind;
  switch (profiles_[device]) {
    case Profile::kMeter:
      return {
          {{"energy_wh", static_cast<std::int64_t>(base % 10'000'000) + 10 * number + small(0, 10)},
           {"power_w", 3'000 + wave(base + sequence, 2'000) * 10 + small(8, 10), 1, kDecimal},
           {"voltage_v", 2'290 + small(16, 21), 1, kDecimal},
           {"relay_closed", static_cast<std::int64_t>((base + sequence / 50) % 2), 0, kFlag}}};
    case Profile::kVehicle:
      return {{{"latitude", 48'000'000 + wave(base + 7U * std::uint64_t{sequence}, 500'000), 6,
                kDecimal},
               {"longitude",
                -1'500'000 + wave((base >> 20U) + 11U * std::uint64_t{sequence}, 3'000'000), 6,
                kDecimal},
               {"speed_kmh", small(0, 130)},
               {"ignition", static_cast<std::int64_t>((base + sequence / 100) % 2), 0, kFlag}}};
    case Profile::kSensor:
      break;
  }
  return {{{"temperature_c", -150 + wave(base + sequence, 400), 1, kDecimal},
           {"humidity_percent", 300 + 5 * wave(base + sequence / 3, 100), 1, kDecimal},
           {"battery_mv", 4'200 - static_cast<std::int64_t>((base + sequence / 10) % 1'200)},
           {"is_charging", small(0, 16) == 0 ? 1 : 0, 0, kFlag}}};
}

void Fleet::write_payload(std::uint32_t device, std::uint32_t sequence, bool is_buffered,
                          std::string& out) const {
  out.clear();
  const auto end = std::back_inserter(out);
  std::format_to(end, R"({{"ts":{},"seq":{})", device_time_ms(device, sequence), sequence);
  if (is_buffered) out += R"(,"buffered":true)";
  const Defect defect = this->defect(device, sequence);
  if (defect == Defect::kUnknownShape) {
    out += R"(,"metrics":17})";
    return;
  }
  out += R"(,"metrics":{)";
  for (const Metric& metric : metrics(device, sequence)) {
    if (out.back() != '{') out += ',';
    std::format_to(end, R"("{}":)", metric.name);
    metric.append_to(out);
  }
  if (defect == Defect::kTruncated) return;
  if (defect == Defect::kNumberOutOfRange) out += R"(,"overflow":1e999)";
  out += "}}";
}

std::int64_t sequence_of(std::string_view payload) {
  constexpr std::string_view kName = R"("seq":)";
  const auto at = payload.find(kName);
  if (at == std::string_view::npos) return -1;
  const char* const begin = payload.data() + at + kName.size();
  std::int64_t sequence = -1;
  const auto read = std::from_chars(begin, payload.data() + payload.size(), sequence);
  return read.ec == std::errc() && sequence >= 0 ? sequence : -1;
}

}  // namespace sluice::sim
