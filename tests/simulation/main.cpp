// sluice-simulation: runs of the whole spine, by seed.
#include "simulation.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>

namespace sluice::simulation {
namespace {

constexpr const char* kHelp =
    "sluice-simulation [--seed N] [--seeds N] [--faults LIST] [--trace]\n"
    "  --seed N       the first seed, 1\n"
    "  --seeds N      so many from there on, 1\n"
    "  --faults LIST  all, none, or of "
    "loss,duplicate,reorder,crash,rebalance,slow-store,clock-jump\n"
    "  --trace        shows every event\n"
    "Exit status 1 when a run broke a promise.\n";

struct Arguments {
  Options options;
  std::uint64_t seeds = 1;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--trace") {
      arguments.options.shows_trace = true;
      continue;
    }
    if (i + 1 == argc) return std::nullopt;
    const std::string_view value = argv[++i];
    if (name == "--seed" || name == "--seeds") {
      const auto read = number(value);
      if (!read) return std::nullopt;
      (name == "--seed" ? arguments.options.seed : arguments.seeds) = *read;
    } else if (name == "--faults") {
      const auto faults = Faults::parse(value);
      if (!faults) return std::nullopt;
      arguments.options.faults = *faults;
    } else {
      return std::nullopt;
    }
  }
  return arguments;
}

int simulate(const Arguments& arguments) {
  std::uint64_t failed = 0;
  std::uint64_t acknowledged = 0;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    Options options = arguments.options;
    options.seed += i;
    const Outcome outcome = run(options);
    acknowledged += outcome.acknowledged;
    if (outcome.is_good()) continue;
    ++failed;
    std::printf("%s\n", outcome.report().c_str());
  }
  std::printf("%llu messages acknowledged, %.1f s of CPU\n",
              static_cast<unsigned long long>(acknowledged),
              static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
  std::printf("%llu passed, %llu failed\n",
              static_cast<unsigned long long>(arguments.seeds - failed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::simulation

int main(int argc, char** argv) {
  const auto arguments = sluice::simulation::parse(argc, argv);
  if (!arguments) {
    std::fputs(sluice::simulation::kHelp, stderr);
    return 2;
  }
  return sluice::simulation::simulate(*arguments);
}
