#include "scenario_parts.h"

#include "payload.h"

#include <algorithm>

namespace sluice::load {

PublishOptions publish_options(const Options& options, const TextTemplate& topic) {
  const bool is_ours = options.payload.empty();
  return {.qos = static_cast<mqtt::Qos>(options.qos),
          .window = static_cast<std::uint16_t>(options.window),
          .batch = options.batch,
          .rate = options.rate / options.threads,
          .topic = &topic,
          .payload = is_ours ? make_payload(options.size) : options.payload,
          .is_stamped = is_ours && options.command == Command::kPubsub};
}

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

double seconds_between(const Reading& before, const Reading& after) {
  const std::chrono::duration<double> passed = after.time - before.time;
  return std::max(passed.count(), 1e-9);
}

void add_cpu(Report& report, const Options& options, const Reading& before, const Reading& after,
             std::uint64_t count) {
  if (options.pids.empty() || count == 0) return;
  const std::chrono::duration<double> used = after.usage.cpu - before.usage.cpu;
  const double per_million = used.count() * 1e6 / static_cast<double>(count);
  report.add("server_cpu_seconds", used.count(), "");
  if (options.command == Command::kConn) {
    report.add("cpu_us_per_connection", per_million, "CPU us/conn");
  } else {
    report.add("cpu_seconds_per_million", per_million, "CPU-s/M");
  }
}

void add_listen_drops(Report& report, const Options& options, const Reading& before,
                      const Reading& after) {
  if (options.pids.empty()) return;
  report.add_count("dropped_syns", after.listen_drops - before.listen_drops, "SYNs dropped");
}

}  // namespace sluice::load
