#include "ledger.h"

#include <nlohmann/json.hpp>

namespace sluice::sim {

namespace {

using Json = nlohmann::ordered_json;

Json ranges_of(const SequenceSet& set) {
  Json ranges = Json::array();
  set.for_each([&](std::uint32_t sequence) {
    if (!ranges.empty() && ranges.back()[1].get<std::uint32_t>() + 1 == sequence) {
      ranges.back()[1] = sequence;
    } else {
      ranges.push_back({sequence, sequence});
    }
  });
  return ranges;
}

}  // namespace

std::string to_json_lines(const Ledger& ledger, const Roster& roster) {
  std::string text;
  for (std::uint32_t device = 0; device < roster.size(); ++device) {
    text += Json{{"device", roster[device].id},
                 {"published", ranges_of(ledger.published[device])},
                 {"acknowledged", ranges_of(ledger.acknowledged[device])},
                 {"refused", ranges_of(ledger.refused[device])}}
                .dump();
    text += '\n';
  }
  return text;
}

}  // namespace sluice::sim
