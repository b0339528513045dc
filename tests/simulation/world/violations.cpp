#include "world/violations.h"

#include <utility>

namespace sluice::simulation {

std::string_view to_string(Invariant invariant) {
  switch (invariant) {
    case Invariant::kAckedIsStored:
      return "I1 (no acknowledgement before the record is stored)";
    case Invariant::kCommittedIsDurable:
      return "I2 (committed means durable)";
    case Invariant::kIdempotent:
      return "I3 (redelivery changes nothing)";
    case Invariant::kOrdered:
      return "I4 (order of a device)";
    case Invariant::kAccountedFor:
      return "I5 (stored, rejected, or still in Kafka)";
    case Invariant::kIsolated:
      return "I6 (a device reaches its own topics alone)";
    case Invariant::kBounded:
      return "I7 (every queue is bounded)";
    case Invariant::kComesToRest:
      return "rest (all that was begun ends once nothing is broken)";
  }
  return "";
}

void Violations::add(Violation violation) {
  if (++counts_[static_cast<std::size_t>(violation.invariant)] > kKept) return;
  found_.push_back(std::move(violation));
}

}  // namespace sluice::simulation
