#include "core/registration.h"

#include "core/schema/compatibility.h"

#include <algorithm>
#include <utility>

namespace sluice::validator {
namespace {

const ExistingVersion* latest_of(std::span<const ExistingVersion> existing,
                                 std::optional<std::uint32_t> major) {
  const ExistingVersion* latest = nullptr;
  for (const ExistingVersion& version : existing) {
    if (major && version.version.major != *major) continue;
    if (latest == nullptr || latest->version < version.version) latest = &version;
  }
  return latest;
}

std::unexpected<Error> incompatible(std::vector<FieldFault> faults) {
  return fail(Error(ErrorCode::kFailedPrecondition,
                    "the schema would refuse what its predecessor accepts: this needs a new major "
                    "version")
                  .with_reason("incompatible_schema")
                  .with_faults(std::move(faults)));
}

}  // namespace

Result<Decision> decide_version(std::span<const ExistingVersion> existing,
                                const Candidate& candidate, const UnitTable& units,
                                const CompileLimits& limits) {
  Decision decision{.kind = candidate.kind, .document = std::string(candidate.document)};
  SLUICE_TRY_ASSIGN(decision.compiled, compile(candidate.kind, candidate.document, units, limits));
  const ExistingVersion* const latest = latest_of(existing, std::nullopt);
  if (latest == nullptr) {
    if (candidate.major) return fail(ErrorCode::kNotFound, "there is no such major version");
    decision.version = {.major = 1, .minor = 0};
    return decision;
  }
  if (candidate.is_new_major) {
    decision.version = {.major = latest->version.major + 1, .minor = 0};
    return decision;
  }
  const ExistingVersion* const before = latest_of(existing, candidate.major);
  if (before == nullptr) return fail(ErrorCode::kNotFound, "there is no such major version");
  if (before->kind == candidate.kind && before->document == candidate.document) {
    decision.version = before->version;
    decision.is_new = false;
    return decision;
  }
  if (before->kind != candidate.kind) {
    return incompatible({{"/kind", "a minor version is of the kind of its predecessor"}});
  }
  SLUICE_TRY_ASSIGN(const auto predecessor, compile(before->kind, before->document, units, limits));
  if (auto faults = incompatibilities(*predecessor, *decision.compiled); !faults.empty()) {
    return incompatible(std::move(faults));
  }
  decision.version = {.major = before->version.major, .minor = before->version.minor + 1};
  return decision;
}

}  // namespace sluice::validator
