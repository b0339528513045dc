#pragma once

#include <chrono>

/// What the sources of RejectionStore share.
namespace sluice::validator {

/// Of statements that look at many rejected messages.
inline constexpr std::chrono::seconds kSlowQuery{10};

}  // namespace sluice::validator

/// The condition of a selection. $1 is the tenant, $2 to $7 what RejectionSelection has, in order.
#define SLUICE_SELECTED                                                                      \
  "tenant_id = $1 AND ($2::timestamptz IS NULL OR rejected_at >= $2) "                       \
  "AND ($3::timestamptz IS NULL OR rejected_at < $3) AND ($4::text IS NULL OR reason = $4) " \
  "AND ($5::text IS NULL OR pointer = $5) AND ($6::text IS NULL OR schema_id = $6) "         \
  "AND ($7::text IS NULL OR device_id = $7) "
