#pragma once

#include "core/schema/tape.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/error.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::validator {

enum class Draft : std::uint8_t { k7, k2020 };

/// A JSON Schema for values that lie on a tape. Immutable; shared by threads.
class JsonRules {
 public:
  /// What a value breaks: where (below the value itself) and how.
  struct Violation {
    std::string pointer{};
    std::string detail{};
    bool is_out_of_steps = false;
  };

  ~JsonRules();

  /// Null where the document is no schema that is supported; then `faults` has a fault for each
  /// place.
  static std::unique_ptr<const JsonRules> compile(const nlohmann::json& document, Draft draft,
                                                  std::vector<FieldFault>& faults,
                                                  std::size_t max_faults);

  /// Whether the value at `root` obeys. Each rule applied to a value is a step; false after
  /// `max_steps` of them, and `violation` says so.
  bool is_valid(const Tape& tape, std::uint32_t root, std::size_t max_steps,
                Violation& violation) const;

  struct Inside;

 private:
  explicit JsonRules(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

}  // namespace sluice::validator
