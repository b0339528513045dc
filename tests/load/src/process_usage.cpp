#include "process_usage.h"

#include <charconv>
#include <filesystem>
#include <format>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include <unistd.h>

namespace sluice::load {

namespace {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

struct Stat {
  int parent = 0;
  std::uint64_t ticks = 0;
};

/// Fields of proc_pid_stat(5): 4 ppid, 14 utime, 15 stime. The second, the program's name in
/// brackets, may hold blanks and brackets.
std::optional<Stat> read_stat(const std::string& proc, int pid) {
  const auto text = read_file(std::format("{}/{}/stat", proc, pid));
  if (!text || !text->contains(')')) return std::nullopt;
  std::istringstream rest(text->substr(text->rfind(')') + 1));
  std::string skipped;
  Stat stat;
  std::uint64_t user = 0, system = 0;
  rest >> skipped >> stat.parent;
  for (int field = 5; field < 14; ++field) rest >> skipped;
  rest >> user >> system;
  if (!rest) return std::nullopt;
  stat.ticks = user + system;
  return stat;
}

/// A line `Key:   123 kB`, 0 without one.
std::uint64_t kilobytes(const std::string& text, std::string_view key) {
  const auto at = text.find(key);
  if (at == std::string::npos) return 0;
  std::uint64_t value = 0;
  std::istringstream(text.substr(at + key.size())) >> value;
  return value;
}

std::uint64_t rss_bytes(const std::string& proc, int pid) {
  // smaps_rollup counts pages; the counters behind status may be behind by a batch per thread.
  if (const auto text = read_file(std::format("{}/{}/smaps_rollup", proc, pid))) {
    if (const auto found = kilobytes(*text, "\nRss:")) return found * 1024;
  }
  const auto text = read_file(std::format("{}/{}/status", proc, pid));
  return text ? kilobytes(*text, "\nVmRSS:") * 1024 : 0;
}

/// `pids` and all that descend from them.
std::set<int> family(std::span<const int> pids, const std::string& proc) {
  std::vector<std::pair<int, int>> parents;  // (pid, parent)
  for (const auto& entry : std::filesystem::directory_iterator(proc)) {
    const std::string name = entry.path().filename();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    if (const auto stat = read_stat(proc, pid)) parents.emplace_back(pid, stat->parent);
  }
  std::set<int> found(pids.begin(), pids.end());
  for (bool grows = true; grows;) {
    grows = false;
    for (const auto& [pid, parent] : parents) {
      grows |= found.contains(parent) && found.insert(pid).second;
    }
  }
  return found;
}

}  // namespace

Result<ProcessUsage> ProcessUsage::of(std::span<const int> pids, const std::string& proc) {
  for (const int pid : pids) {
    if (!read_stat(proc, pid)) {
      return fail(ErrorCode::kNotFound, std::format("no process {}", pid));
    }
  }
  ProcessUsage usage;
  std::uint64_t ticks = 0;
  for (const int pid : pids.empty() ? std::set<int>() : family(pids, proc)) {
    if (const auto stat = read_stat(proc, pid)) ticks += stat->ticks;
    usage.rss_bytes += load::rss_bytes(proc, pid);
  }
  const auto per_second = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  usage.cpu =
      std::chrono::nanoseconds(static_cast<std::int64_t>(ticks * 1'000'000'000 / per_second));
  return usage;
}

}  // namespace sluice::load
