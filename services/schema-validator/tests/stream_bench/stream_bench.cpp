// What judging by a device's past costs, and the long proof that it loses nothing: ten million
// fresh messages under a filter that proves nothing, and a replayed hour that must go entirely.

#include "core/stream/device_state.h"
#include "core/stream/seen_filter.h"
#include "testing/fleet.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <print>
#include <string>
#include <vector>

namespace sluice::validator {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

double cpu_ns() { return static_cast<double>(std::clock()) * (1e9 / CLOCKS_PER_SEC); }

std::uint64_t scatter(std::uint64_t i) {
  i = (i + 1) * 0x9E37'79B9'7F4A'7C15U;
  i = (i ^ (i >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
  return i ^ (i >> 31U);
}

/// Questions in no order, in batches.
void bench_filter() {
  constexpr std::uint64_t kKeys = 10'000'000;
  SeenFilter filter(kKeys);
  filter.advance(kNow);
  double begin = cpu_ns();
  for (std::uint64_t i = 0; i < kKeys; ++i) filter.insert(scatter(i));
  const double insert = (cpu_ns() - begin) / kKeys;
  std::uint64_t known = 0;
  std::uint64_t wrong = 0;
  constexpr std::uint64_t kBatch = 250;
  std::vector<std::uint64_t> keys(kBatch);
  std::vector<std::uint8_t> answers(kBatch);
  const auto ask = [&](std::uint64_t first) {
    std::uint64_t yes = 0;
    for (std::uint64_t i = 0; i < kKeys; i += kBatch) {
      for (std::uint64_t k = 0; k < kBatch; ++k) keys[k] = scatter(first + i + k);
      filter.maybe_contain(keys, answers);
      for (const std::uint8_t answer : answers) yes += answer;
    }
    return yes;
  };
  double ask_known = 1e9;
  double ask_new = 1e9;
  for (int round = 0; round < 3; ++round) {
    begin = cpu_ns();
    known = ask(0);
    ask_known = std::min(ask_known, (cpu_ns() - begin) / kKeys);
    begin = cpu_ns();
    wrong = ask(kKeys * 7);
    ask_new = std::min(ask_new, (cpu_ns() - begin) / kKeys);
  }
  std::println(
      "filter, 10M keys, {} MB: insert {:.1f} ns, question {:.1f} ns (held) {:.1f} ns (new)",
      SeenFilter::memory_bytes(kKeys) / 1'000'000, insert, ask_known, ask_new);
  std::println("  false positives {:.3f} %, held and denied: {}",
               100.0 * static_cast<double>(wrong) / kKeys, kKeys - known);
}

bool prove_that_nothing_is_lost() {
  constexpr std::uint64_t kMessages = 10'000'000;
  SeenFilter filter(1'000'000, INT64_MAX / 2);
  StreamSettings settings;
  DeviceStates states(settings, filter);
  Fleet fleet(2'000, 20'270'115);
  Extracted extracted;
  Judgement judgement;
  std::uint64_t lost = 0;
  std::uint64_t remarks = 0;
  std::uint64_t buffered = 0;
  const double begin = cpu_ns();
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    if (i % 500'000 == 0) filter.saturate();  // a full generation is cleared now and then
    const Fleet::Message message = fleet.next();
    fill(message, extracted);
    states.judge(
        {.device_key = fleet.key(message.device), .received_at_ms = message.received_at_ms},
        extracted, judgement);
    lost += judgement.replays;
    remarks += judgement.maybe_duplicates;
    buffered += message.buffered ? 1U : 0U;
  }
  std::println(
      "{} fresh messages, {} of them stored ones, every filter bit set: {} lost, {:.2f} % with a"
      " remark, {:.0f} ns each with their making",
      kMessages, buffered, lost, 100.0 * static_cast<double>(remarks) / kMessages,
      (cpu_ns() - begin) / kMessages);
  return lost == 0;
}

bool prove_that_a_replayed_hour_goes() {
  constexpr std::size_t kDevices = 2'000;
  constexpr std::uint64_t kHour = 360;
  SeenFilter filter(kDevices * kHour * 2);
  DeviceStates states({}, filter);
  Extracted extracted;
  Judgement judgement;
  std::uint64_t replays = 0;
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t i = 0; i < kHour; ++i) {
      for (std::size_t device = 0; device < kDevices; ++device) {
        const std::int64_t time = kNow + static_cast<std::int64_t>(i) * 10'000;
        fill({.device = device, .sequence = i, .device_time_ms = time, .value = 21.5}, extracted);
        states.judge({.device_key = "acme/device-" + std::to_string(device),
                      .received_at_ms = round == 0 ? time : kNow + 3'600'000},
                     extracted, judgement);
        replays += judgement.replays;
      }
    }
  }
  std::println("a replayed hour of {} devices: {} of {} messages suppressed", kDevices, replays,
               kDevices * kHour);
  return replays == kDevices * kHour;
}

/// Eight readings, a number and a time: a message of 108 bytes.
void bench_judge(std::size_t devices, bool has_sequence) {
  SeenFilter filter(10'000'000);
  DeviceStates states({}, filter);
  Extracted extracted;
  Judgement judgement;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < devices; ++i) keys.push_back("acme/device-" + std::to_string(i));
  constexpr std::string_view kMetrics[] = {"temp",    "humidity", "pressure", "battery",
                                           "voltage", "current",  "rssi",     "uptime"};
  extracted.samples.resize(1);
  for (std::uint32_t i = 0; i < 8; ++i) {
    extracted.readings.push_back({.metric = kMetrics[i], .metric_id = i});
  }
  const std::size_t rounds = 2'000'000 / devices;
  double begin = 0;
  for (std::size_t round = 0; round < rounds + 20; ++round) {
    if (round == 20) begin = cpu_ns();  // warm: tables made, spreads known
    const std::int64_t time = kNow + static_cast<std::int64_t>(round) * 1'000;
    for (std::size_t device = 0; device < devices; ++device) {
      Sample& sample = extracted.samples[0];
      sample = {.device_time_ms = time, .reading_count = 8};
      if (has_sequence) sample.sequence = round;
      for (Reading& reading : extracted.readings) {
        reading.number = 20.0 + static_cast<double>((round * 7 + device) % 5);
        reading.quality = 0;
      }
      states.judge({.device_key = keys[device], .received_at_ms = time + 20}, extracted, judgement);
    }
  }
  std::println("judge(), {} devices, 8 readings, {} sequence: {:.0f} ns", devices,
               has_sequence ? "with" : "without",
               (cpu_ns() - begin) / static_cast<double>(rounds * devices));
}

}  // namespace
}  // namespace sluice::validator

int main(int count, char**) {
  using namespace sluice::validator;
  bench_filter();
  for (const std::size_t devices : {100U, 20'000U}) {
    for (const bool has_sequence : {false, true}) bench_judge(devices, has_sequence);
  }
  if (count > 1) return 0;  // figures alone
  const StreamSettings settings;
  std::println("a device holds at most {} bytes", DeviceStates::max_device_bytes(settings));
  const bool is_hour_gone = prove_that_a_replayed_hour_goes();
  const bool is_nothing_lost = prove_that_nothing_is_lost();
  return is_hour_gone && is_nothing_lost ? 0 : 1;
}
