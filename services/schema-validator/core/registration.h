#pragma once

#include "core/schema/compiled_schema.h"
#include "core/schema/unit_table.h"
#include "core/schema_ref.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::validator {

/// A version that is registered, as far as a new one is compared with it.
struct ExistingVersion {
  Version version{};
  SchemaKind kind{};
  std::string_view document{};
};

/// What somebody wants to register.
struct Candidate {
  SchemaKind kind{};
  std::string_view document{};
  /// Which major it is to be a minor version of; nullopt: the latest.
  std::optional<std::uint32_t> major{};
  /// Asks for a new major version, whatever it breaks.
  bool is_new_major = false;
};

/// What the candidate becomes.
struct Decision {
  Version version{};
  bool is_new = true;  // false: the latest version of its major says the very same
  std::shared_ptr<const CompiledSchema> compiled{};
  SchemaKind kind{};
  std::string document{};
};

/// Compiles the candidate and decides its version: the first is 1.0; a minor version must accept
/// all that its predecessor did; anything else needs a new major.
///   kInvalidArgument     the document cannot be compiled: a fault for each place
///   kNotFound            there is no such major
///   kFailedPrecondition  reason "incompatible_schema", a fault for each thing that it would break
Result<Decision> decide_version(std::span<const ExistingVersion> existing,
                                const Candidate& candidate, const UnitTable& units,
                                const CompileLimits& limits);

}  // namespace sluice::validator
