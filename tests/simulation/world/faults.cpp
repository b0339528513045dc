#include "world/faults.h"

#include <array>
#include <format>

namespace sluice::simulation {
namespace {

constexpr std::array<std::string_view, kFaults> kNames{
    "loss", "duplicate", "reorder", "crash", "rebalance", "slow-store", "clock-jump"};

}  // namespace

std::string_view to_string(Fault fault) { return kNames[static_cast<std::size_t>(fault)]; }

Result<Faults> Faults::parse(std::string_view text) {
  if (text == "all") return all();
  if (text == "none") return none();
  unsigned bits = 0;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    std::size_t fault = 0;
    while (fault < kFaults && kNames[fault] != name) ++fault;
    if (fault == kFaults) {
      return fail(ErrorCode::kInvalidArgument, std::format("--faults: {} is none", name));
    }
    bits |= 1U << fault;
  }
  return Faults(bits);
}

std::string Faults::text() const {
  if (bits_ == all().bits_) return "all";
  std::string text;
  for (std::size_t fault = 0; fault < kFaults; ++fault) {
    if (!has(static_cast<Fault>(fault))) continue;
    if (!text.empty()) text += ',';
    text += kNames[fault];
  }
  return text.empty() ? "none" : text;
}

}  // namespace sluice::simulation
