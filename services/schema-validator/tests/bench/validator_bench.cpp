// What a message costs the whole process between Kafka and Kafka, with one worker and with two, and
// how long after its publication a new version of a schema is still missed. Kafka, the validator
// and this program share the machine, so CPU per message is what scales: while it stays, each core
// more adds as much as the first did.
//
//   schema_validator_bench [MESSAGES]
#include "tests/stream.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <fstream>
#include <print>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace sluice::validator::testing {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr const char* kTable = R"({"metrics": [
  {"name": "temp", "type": "double", "unit": "Cel", "min": -40, "max": 85, "required": true},
  {"name": "hum", "type": "double", "unit": "%", "min": 0, "max": 100},
  {"name": "pressure", "type": "double", "unit": "hPa", "min": 300, "max": 1100},
  {"name": "battery", "type": "int64", "unit": "mV", "min": 0, "max": 5000},
  {"name": "ok", "type": "bool"},
  {"name": "mode", "type": "string", "enum": ["auto-day", "auto-night", "off"]}]})";
constexpr std::size_t kDevices = 1'000;

/// User and system time of a process.
double cpu_seconds(pid_t pid) {
  std::ifstream file(std::format("/proc/{}/stat", pid));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

RawMessage message_of(Stream& stream, std::size_t index, std::int64_t at_ms) {
  RawMessage message = stream.message(
      std::format("device-{:05}", index % kDevices),
      std::format(
          R"({{"ts":{},"temp":{:.2f},"hum":{:.2f},"pressure":{:.1f},"battery":{},"ok":true,"mode":"auto-night"}})",
          at_ms, 20 + static_cast<double>(index * 37 % 1000) / 100,
          40 + static_cast<double>(index * 59 % 5000) / 100,
          1013.2 + static_cast<double>(index % 90) / 10, 3600 + index % 256));
  message.set_schema_id("weather");
  message.set_sequence(index / kDevices + 1);
  return message;
}

struct Figures {
  double per_second = 0;
  double cpu_us = 0;
};

Figures measure(std::size_t messages, int workers) {
  Stream stream;
  stream.publish_schema("weather", "1.0", kTable);
  const std::int64_t begin_ms = stream.message("x", "").received_at_ms() - 60'000;
  std::vector<RawMessage> chunk;
  for (std::size_t i = 0; i < messages; ++i) {
    chunk.push_back(message_of(stream, i, begin_ms + static_cast<std::int64_t>(i / kDevices)));
    if (chunk.size() == 10'000 || i + 1 == messages) {
      stream.send_all(chunk);
      chunk.clear();
    }
  }
  const auto validator = stream.start({{"SLUICE_WORKERS", std::to_string(workers)},
                                       {"SLUICE_KAFKA_CONSUMER_COMMIT_INTERVAL", "1s"},
                                       {"SLUICE_KAFKA_CONSUMER_FETCH_WAIT", "100ms"},
                                       {"SLUICE_STATE_INTERVAL", "5s"},
                                       {"SLUICE_STATE_FILTER", "1000000"}});
  const auto judged = [&] { return validator->metric("sluice_validator_messages_total"); };
  const pid_t pid = validator->process().pid();
  const double first = judged();
  const double cpu = cpu_seconds(pid);
  const auto began = SteadyClock::now();
  while (judged() < static_cast<double>(messages)) std::this_thread::sleep_for(50ms);
  const std::chrono::duration<double> took = SteadyClock::now() - began;
  const double count = static_cast<double>(messages) - first;
  return {.per_second = count / took.count(), .cpu_us = (cpu_seconds(pid) - cpu) * 1e6 / count};
}

/// Publishes versions while devices speak, and looks for the last message that an older one judged.
void measure_change() {
  constexpr int kChanges = 5;
  Stream stream;
  stream.publish_schema("weather", "1.0", kTable);
  const auto validator = stream.start({{"SLUICE_WORKERS", "4"}});
  std::vector<std::int64_t> published;
  std::size_t index = 0;
  const auto speak_for = [&](std::chrono::milliseconds time) {
    for (const auto end = SteadyClock::now() + time; SteadyClock::now() < end;) {
      std::vector<RawMessage> messages;
      for (int i = 0; i < 50; ++i, ++index) {
        messages.push_back(message_of(stream, index, stream.message("x", "").received_at_ms()));
      }
      stream.send_all(messages);
    }
  };
  for (int i = 1; i <= kChanges; ++i) {
    speak_for(500ms);
    std::string wider = kTable;
    wider.replace(wider.rfind("]}"), 2,
                  std::format(R"(, {{"name": "more_{}", "type": "double"}}]}})", i));
    published.push_back(stream.message("x", "").received_at_ms());
    stream.publish_schema("weather", std::format("1.{}", i), wider);
    speak_for(1'500ms);
  }
  stream.wait_until_done();
  std::int64_t latest = 0;  // nothing shorter can be told: publication is waited for
  for (const ValidMessage& message : stream.valid()) {
    const int minor = std::atoi(message.schema_version().c_str() + 2);
    if (minor >= kChanges) continue;
    const std::int64_t next = published[static_cast<std::size_t>(minor)];
    latest = std::max(latest, message.received_at_ms() - next);
  }
  std::println(
      "{} changes of a schema, 4 workers: the last message judged by an older version came "
      "{} ms after the newer one was published",
      kChanges, latest);
}

}  // namespace
}  // namespace sluice::validator::testing

int main(int count, char** arguments) {
  using namespace sluice::validator::testing;
  const std::size_t messages =
      count > 1 ? static_cast<std::size_t>(std::atoll(arguments[1])) : 300'000;
  std::println("{} messages of 108 bytes, schema and sequence number", messages);
  const Figures one = measure(messages, 1);
  std::println("1 worker:  {:.0f} messages/s, {:.2f} us of CPU each", one.per_second, one.cpu_us);
  const Figures two = measure(messages, 2);
  std::println("2 workers: {:.0f} messages/s, {:.2f} us of CPU each", two.per_second, two.cpu_us);
  std::println(
      "two workers: {:.2f} x the rate, {:.2f} x the CPU of a message; a core judges {:.0f}/s",
      two.per_second / one.per_second, two.cpu_us / one.cpu_us, 1e6 / two.cpu_us);
  measure_change();
  return 0;
}
