#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::validator {

/// value in the target unit = value * factor + offset.
struct Conversion {
  double factor = 1;
  double offset = 0;

  bool is_identity() const { return factor == 1 && offset == 0; }
  double apply(double value) const { return is_identity() ? value : value * factor + offset; }
  bool operator==(const Conversion&) const = default;
};

/// A unit by its UCUM spelling, as far as sensors use it, and its other spellings.
struct UnitDefinition {
  std::string name{};
  std::string base{};  // the unit that stands for the dimension; empty: itself
  double factor = 1;   // value in base = value * factor + offset
  double offset = 0;
  std::vector<std::string> aliases{};

  bool operator==(const UnitDefinition&) const = default;
};

/// The units that numbers are converted between: those that are built in, and an operator's. A
/// value; copies share their contents until one of them is added to.
class UnitTable {
 public:
  static constexpr std::size_t kMaxUnits = 10'000;
  static constexpr std::size_t kMaxNameSize = 64;

  /// No unit at all.
  UnitTable();
  /// UCUM spellings of temperature, length, pressure, electricity, ... (see README.md).
  static UnitTable built_in();

  /// kInvalidArgument where the base is unknown or is none, a spelling is taken, or the factor is
  /// zero or not finite.
  Result<> add(const UnitDefinition& unit);

  /// The UCUM spelling of a unit; nullopt where nobody knows it.
  std::optional<std::string_view> canonical(std::string_view spelling) const;
  /// From one unit to another of the same dimension; nullopt where there is no way.
  std::optional<Conversion> conversion(std::string_view from, std::string_view to) const;
  std::size_t size() const;

  bool operator==(const UnitTable& other) const;

 private:
  struct Contents;
  // Shared by the copies of a table, and never changed while it is.
  std::shared_ptr<const Contents> contents_;
};

}  // namespace sluice::validator
