#include "process_metrics.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::metrics_detail {
namespace {

std::string read_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The fields of /proc/self/stat that are told, in the kernel's units; see proc_pid_stat(5).
struct ProcessStat {
  double cpu_ticks = 0;
  double thread_count = 0;
  double start_ticks = 0;  // since boot
  double virtual_bytes = 0;
  double resident_pages = 0;
};

std::optional<ProcessStat> read_stat() {
  const std::string text = read_file("/proc/self/stat");
  // The second field is the program's name in parentheses, which may hold blanks and parentheses
  // itself.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  if (fields.size() < 22) return std::nullopt;
  const auto field = [&](std::size_t number) {
    return std::strtod(fields[number - 3].c_str(), nullptr);
  };
  return ProcessStat{.cpu_ticks = field(14) + field(15),
                     .thread_count = field(20),
                     .start_ticks = field(22),
                     .virtual_bytes = field(23),
                     .resident_pages = field(24)};
}

/// Seconds since the epoch when the machine started.
std::optional<double> read_boot_time() {
  std::istringstream lines(read_file("/proc/stat"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return std::nullopt;
}

std::optional<double> count_descriptors() {
  // Since Linux 6.2 the folder's size is the number of descriptors. Listing it costs milliseconds
  // where a hundred thousand are open.
  struct stat info{};
  if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0) {
    return static_cast<double>(info.st_size);
  }
  std::error_code error;
  const std::filesystem::directory_iterator folder("/proc/self/fd", error);
  if (error) return std::nullopt;
  // One of them is the folder being read.
  return static_cast<double>(std::distance(begin(folder), end(folder)) - 1);
}

void append(std::vector<prometheus::MetricFamily>& families, const char* name, const char* help,
            prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  metric.counter.value = value;
  metric.gauge.value = value;
  families.push_back({.name = name, .help = help, .type = type, .metric = {metric}});
}

}  // namespace

void append_process_metrics(std::vector<prometheus::MetricFamily>& families) {
  using enum prometheus::MetricType;
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  if (const auto process = read_stat()) {
    append(families, "process_cpu_seconds_total", "Processor time used, user and system.", Counter,
           process->cpu_ticks / ticks_per_second);
    append(families, "process_resident_memory_bytes", "Memory resident.", Gauge,
           process->resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
    append(families, "process_virtual_memory_bytes", "Address space in use.", Gauge,
           process->virtual_bytes);
    append(families, "process_threads", "Threads.", Gauge, process->thread_count);
    if (const auto boot_time = read_boot_time()) {
      append(families, "process_start_time_seconds", "Time of start since the epoch.", Gauge,
             *boot_time + process->start_ticks / ticks_per_second);
    }
  }
  if (const auto open = count_descriptors()) {
    append(families, "process_open_fds", "File descriptors open.", Gauge, *open);
  }
  if (rlimit limit{}; getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    append(families, "process_max_fds", "File descriptors allowed.", Gauge,
           static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace sluice::metrics_detail
