#include "tally.h"

namespace sluice::load {

void Tally::add(const Tally& other) {
  connecting.add(other.connecting);
  answering.add(other.answering);
  cut_off.add(other.cut_off);
  disturbed.add(other.disturbed);
  delivering.add(other.delivering);
  pinging.add(other.pinging);
  lag.add(other.lag);
  storm_lag.add(other.storm_lag);
  opened += other.opened;
  resumed += other.resumed;
  sent += other.sent;
  acked += other.acked;
  received += other.received;
  for (const auto& [reason, count] : other.failures) failures[reason] += count;
  for (const auto& [what, count] : other.inconsistencies) inconsistencies[what] += count;
}

}  // namespace sluice::load
