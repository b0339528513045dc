#include "tally.h"

namespace sluice::load {

void Tally::add(const Tally& other) {
  connecting.add(other.connecting);
  answering.add(other.answering);
  disturbed.add(other.disturbed);
  delivering.add(other.delivering);
  opened += other.opened;
  resumed += other.resumed;
  sent += other.sent;
  acked += other.acked;
  received += other.received;
  for (const auto& [reason, count] : other.failures) failures[reason] += count;
  for (const auto& [what, count] : other.inconsistencies) inconsistencies[what] += count;
}

}  // namespace sluice::load
