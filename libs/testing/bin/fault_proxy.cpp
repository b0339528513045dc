// A FaultProxy as a program, for tests that are not C++: prints its address, then takes one command
// a line and answers each with one line. Ends when its standard input does.

#include <sluice/testing/fault_proxy.h>

#include <charconv>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view kUsage =
    "usage: sluice-fault-proxy --target HOST:PORT [--listen HOST:PORT] [--udp] [--seed NUMBER]\n";

bool read_arguments(int argc, char** argv, sluice::testing::FaultProxy::Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--udp") {
      options.protocol = sluice::testing::FaultProxy::Protocol::kUdp;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string_view value = argv[++i];
    if (name == "--target") {
      options.target = value;
    } else if (name == "--listen") {
      options.listen = value;
    } else if (name == "--seed") {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), options.seed);
      if (error != std::errc() || end != value.data() + value.size()) return false;
    } else {
      return false;
    }
  }
  return !options.target.empty();
}

}  // namespace

int main(int argc, char** argv) {
  sluice::testing::FaultProxy::Options options;
  if (!read_arguments(argc, argv, options)) {
    std::cerr << kUsage;
    return 2;
  }
  const auto proxy = sluice::testing::FaultProxy::start(options);
  if (!proxy) {
    std::cerr << proxy.error().message() << '\n';
    return 1;
  }
  std::cout << (*proxy)->address() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const auto answer = sluice::testing::run_fault_command(**proxy, line);
    std::cout << (answer ? *answer : "error: " + answer.error().message()) << std::endl;
  }
  return 0;
}
