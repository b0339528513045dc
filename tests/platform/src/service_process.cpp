#include <sluice/platform/service_process.h>

#include <csignal>
#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

namespace sluice::platform {

ServiceProcess::ServiceProcess(const std::string& name, Environment settings)
    : process_({.program = testing::built_program(name), .environment = std::move(settings)}) {
  auto addresses = process_.wait_for_addresses();
  if (!addresses) throw std::runtime_error(addresses.error().message());
  addresses_ = *std::move(addresses);
  const bool is_ready = testing::eventually([&] {
    const auto answer = http_.get("http://" + address("ops") + "/readyz");
    return answer && answer->status == 200;
  });
  if (!is_ready) {
    throw std::runtime_error(std::format("{} does not get ready:\n{}", name, process_.output()));
  }
}

void ServiceProcess::kill() {
  process_.signal(SIGKILL);
  process_.wait();
}

double ServiceProcess::metric(std::string_view name) const {
  const auto answer = http_.get("http://" + address("ops") + "/metrics");
  if (!answer) return 0;
  double sum = 0;
  std::istringstream lines(answer->body);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    const char after = line.size() > name.size() ? line[name.size()] : ' ';
    if (after == ' ' || after == '{') sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

std::int64_t ServiceProcess::resident_kib() const {
  std::ifstream status(std::format("/proc/{}/status", process_.pid()));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  throw std::runtime_error("no VmRSS");
}

std::size_t ServiceProcess::open_files() const {
  const std::filesystem::directory_iterator files(std::format("/proc/{}/fd", process_.pid()));
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

}  // namespace sluice::platform
