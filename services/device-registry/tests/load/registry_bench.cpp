// Measures the real program against the real stack: how fast devices are imported, and how long
// Authenticate takes with a full table.
//   device_registry_bench [DEVICES]      a million unless told
#include "../registry_process.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <format>
#include <print>
#include <random>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include <sluice/device/v1/device_registry.grpc.pb.h>
#include <sluice/grpc/raw.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

#include <unistd.h>

namespace sluice::registry::testing {
namespace {

using namespace ::sluice::device::v1;  // NOLINT: the messages of this one interface

constexpr int kUploadLines = 100'000;  // one upload, as an operator would send it
constexpr int kTokens = 20'000;        // devices that sign in
constexpr int kFronts = 4;  // connections that ask at once, each one call after the other
constexpr int kCallsPerFront = 25'000;

double seconds_since(MonoTime begin) {
  return std::chrono::duration<double>(SystemClock().mono() - begin).count();
}

/// Uploads devices [first, first + count) and gives the operation as it ended.
Json upload(RegistryProcess& registry, const std::string& key, int first, int count,
            bool issue_tokens) {
  std::string lines;
  for (int i = first; i < first + count; ++i) {
    lines += std::format(
        R"({{"external_id":"device-{}","device_class":"meter","model":"M 3","metadata":{{"site":"s{}","floor":{}}}}})"
        "\n",
        i, i % 5000, i % 7);
  }
  const Answer taken =
      registry.call({"POST",
                     issue_tokens ? "/v1/devices:import?issue_tokens=true" : "/v1/devices:import",
                     key,
                     lines,
                     {{"Content-Type", "application/x-ndjson"}}});
  if (taken.status != 202) throw std::runtime_error(taken.body);
  const std::string path = "/v1/operations/" + taken.json()["operation_id"].get<std::string>();
  Json operation;
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    operation = registry.get(path, key).json();
  } while (operation["state"] == "running");
  if (operation["state"] != "succeeded") throw std::runtime_error(operation.dump());
  return operation;
}

void import_all(RegistryProcess& registry, const std::string& key, int devices) {
  const MonoTime begin = SystemClock().mono();
  double slowest = 0;
  for (int first = 0; first < devices; first += kUploadLines) {
    const MonoTime one = SystemClock().mono();
    const int count = std::min(kUploadLines, devices - first);
    upload(registry, key, first, count, false);
    slowest = std::max(slowest, seconds_since(one) / count * kUploadLines);
  }
  std::println(
      "import: {} devices, {:.0f} devices/s over all, {:.0f} devices/s in the slowest upload of {}",
      devices, devices / seconds_since(begin), kUploadLines / slowest, kUploadLines);
}

std::vector<std::string> issue_tokens(RegistryProcess& registry, const std::string& key,
                                      int first) {
  const Json operation = upload(registry, key, first, kTokens, true);
  const Answer taken = registry.call(
      {"POST", "/v1/operations/" + operation["operation_id"].get<std::string>() + ":take-result",
       key, ""});
  std::vector<std::string> tokens;
  std::istringstream lines(taken.body);
  for (std::string line; std::getline(lines, line);)
    tokens.push_back(Json::parse(line)["auth_token"]);
  return tokens;
}

/// One front: asks for random devices and gives the milliseconds of each call.
std::vector<double> ask(const RegistryProcess& registry, const crypto::TlsIdentity& identity,
                        const std::vector<std::string>& tokens, unsigned seed) {
  SystemClock clock;
  SystemRandom random;
  Registry metrics;
  const Logger log("bench", LogLevel::kError, clock, make_fd_log_sink(STDERR_FILENO));
  const auto channel = rpc::Channel::open({.service = "device-registry",
                                           .address = registry.address("grpc"),
                                           .timeout = std::chrono::seconds(10),
                                           .max_attempts = 1},
                                          identity, clock, random, log, metrics)
                           .value();
  rpc::Client<DeviceRegistryService> client(*channel);
  std::minstd_rand pick(seed);
  std::vector<double> milliseconds;
  milliseconds.reserve(kCallsPerFront);
  for (int i = 0; i < kCallsPerFront; ++i) {
    AuthenticateRequest request;
    request.set_token(tokens[pick() % tokens.size()]);
    const MonoTime begin = clock.mono();
    const auto answer = client.call(&decltype(client)::Stub::Authenticate, request);
    milliseconds.push_back(seconds_since(begin) * 1000);
    if (!answer || !answer->has_identity()) throw std::runtime_error("a good token was refused");
  }
  return milliseconds;
}

void authenticate_all(const RegistryProcess& registry, const std::vector<std::string>& tokens) {
  const crypto::TlsIdentity identity = registry.identity_of("mqtt-front");
  std::vector<std::vector<double>> each(kFronts);
  const MonoTime begin = SystemClock().mono();
  {
    std::vector<std::jthread> fronts;
    for (unsigned i = 0; i < kFronts; ++i) {
      fronts.emplace_back([&, i] { each[i] = ask(registry, identity, tokens, i + 1); });
    }
  }
  const double seconds = seconds_since(begin);
  std::vector<double> all;
  for (const auto& one : each) {
    // The first tenth warms up connections, prepared statements and PostgreSQL's cache.
    all.insert(all.end(), one.begin() + kCallsPerFront / 10, one.end());
  }
  std::ranges::sort(all);
  const auto quantile = [&](double q) {
    return all[static_cast<std::size_t>(q * static_cast<double>(all.size() - 1))];
  };
  std::println(
      "Authenticate: {:.0f} calls/s by {} fronts, p50 {:.2f} ms, p99 {:.2f} ms, p99.9 {:.2f} ms, "
      "longest {:.2f} ms",
      kFronts * kCallsPerFront / seconds, kFronts, quantile(0.5), quantile(0.99), quantile(0.999),
      all.back());
}

void run(int devices) {
  RegistryProcess registry;
  registry.start();
  const auto tenant = registry.make_tenant();
  import_all(registry, tenant.operator_, devices);
  const auto tokens = issue_tokens(registry, tenant.operator_, devices);
  registry.database().execute("ANALYZE");
  authenticate_all(registry, tokens);
  registry.stop();
}

}  // namespace
}  // namespace sluice::registry::testing

int main(int argc, char** argv) {
  int devices = 1'000'000;
  if (argc > 1) {
    const std::string_view text = argv[1];
    std::from_chars(text.data(), text.data() + text.size(), devices);
  }
  sluice::registry::testing::run(devices);
}
