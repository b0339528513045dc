#include "core/schema/unit_table.h"

#include <cmath>
#include <utility>

#include <sluice/base/utf8.h>

namespace sluice::validator {

struct UnitTable::Contents {
  struct Unit {
    std::string base{};
    double factor = 1;
    double offset = 0;
    bool operator==(const Unit&) const = default;
  };
  std::map<std::string, Unit, std::less<>> units{};
  std::map<std::string, std::string, std::less<>> spellings{};  // aliases and names themselves

  bool operator==(const Contents&) const = default;
};

namespace {

struct Row {
  const char* name;
  const char* base;
  double factor;
  double offset;
  const char* aliases;  // joined by blanks
};

// Factors are exact by definition (SI brochure, NIST SP 811 appendix B) or rounded there. The unit
// that stands for a dimension comes before the others of it.
constexpr Row kBuiltIn[] = {
    {"K", "", 1, 0, "kelvin"},
    {"Cel", "K", 1, 273.15, "°C ℃ C degC celsius"},
    {"[degF]", "K", 5.0 / 9.0, 459.67 * 5.0 / 9.0, "°F ℉ degF F fahrenheit"},
    {"m", "", 1, 0, "meter metre"},
    {"km", "m", 1000, 0, "kilometer"},
    {"cm", "m", 0.01, 0, ""},
    {"mm", "m", 0.001, 0, ""},
    {"um", "m", 1e-6, 0, "µm μm"},
    {"[in_i]", "m", 0.0254, 0, "in inch"},
    {"[ft_i]", "m", 0.3048, 0, "ft foot feet"},
    {"[mi_i]", "m", 1609.344, 0, "mi mile"},
    {"m2", "", 1, 0, "m²"},
    {"ar", "m2", 100, 0, "are"},
    {"har", "m2", 10000, 0, "ha hectare"},
    {"m3", "", 1, 0, "m³"},
    {"L", "m3", 0.001, 0, "l liter litre"},
    {"mL", "m3", 1e-6, 0, "ml"},
    {"[gal_us]", "m3", 0.003785411784, 0, "gal gallon"},
    {"kg", "", 1, 0, "kilogram"},
    {"g", "kg", 0.001, 0, "gram"},
    {"mg", "kg", 1e-6, 0, ""},
    {"t", "kg", 1000, 0, "tonne"},
    {"[lb_av]", "kg", 0.45359237, 0, "lb pound"},
    {"s", "", 1, 0, "sec second"},
    {"ms", "s", 0.001, 0, ""},
    {"us", "s", 1e-6, 0, "µs μs"},
    {"min", "s", 60, 0, "minute"},
    {"h", "s", 3600, 0, "hour"},
    {"d", "s", 86400, 0, "day"},
    {"m/s", "", 1, 0, ""},
    {"km/h", "m/s", 1 / 3.6, 0, "kmh kph"},
    {"[mi_i]/h", "m/s", 0.44704, 0, "mph"},
    {"[kn_i]", "m/s", 1852.0 / 3600.0, 0, "kn knot"},
    {"m/s2", "", 1, 0, "m/s²"},
    {"[g]", "m/s2", 9.80665, 0, "gee"},
    {"Pa", "", 1, 0, "pascal"},
    {"hPa", "Pa", 100, 0, ""},
    {"kPa", "Pa", 1000, 0, ""},
    {"MPa", "Pa", 1e6, 0, ""},
    {"bar", "Pa", 1e5, 0, ""},
    {"mbar", "Pa", 100, 0, "millibar"},
    {"[psi]", "Pa", 6894.757293168, 0, "psi"},
    {"atm", "Pa", 101325, 0, ""},
    {"mm[Hg]", "Pa", 133.322387415, 0, "mmHg"},
    {"V", "", 1, 0, "volt"},
    {"mV", "V", 0.001, 0, ""},
    {"kV", "V", 1000, 0, ""},
    {"A", "", 1, 0, "ampere amp"},
    {"mA", "A", 0.001, 0, ""},
    {"W", "", 1, 0, "watt"},
    {"mW", "W", 0.001, 0, ""},
    {"kW", "W", 1000, 0, ""},
    {"MW", "W", 1e6, 0, ""},
    {"[HP]", "W", 745.69987158227022, 0, "hp"},
    {"J", "", 1, 0, "joule"},
    {"kJ", "J", 1000, 0, ""},
    {"MJ", "J", 1e6, 0, ""},
    {"W.h", "J", 3600, 0, "Wh"},
    {"kW.h", "J", 3.6e6, 0, "kWh"},
    {"MW.h", "J", 3.6e9, 0, "MWh"},
    {"cal", "J", 4.184, 0, ""},
    {"V.A", "", 1, 0, "VA"},
    {"var", "", 1, 0, "VAr"},
    {"Ohm", "", 1, 0, "Ω ohm"},
    {"kOhm", "Ohm", 1000, 0, "kΩ"},
    {"Hz", "", 1, 0, "hertz"},
    {"kHz", "Hz", 1000, 0, ""},
    {"MHz", "Hz", 1e6, 0, ""},
    {"/min", "Hz", 1.0 / 60.0, 0, "rpm 1/min"},
    {"1", "", 1, 0, "ratio"},
    {"%", "1", 0.01, 0, "percent %RH"},
    {"[ppth]", "1", 0.001, 0, "‰"},
    {"[ppm]", "1", 1e-6, 0, "ppm"},
    {"[ppb]", "1", 1e-9, 0, "ppb"},
    {"rad", "", 1, 0, "radian"},
    {"deg", "rad", 0.017453292519943295, 0, "° degree"},
    {"lx", "", 1, 0, "lux"},
    {"lm", "", 1, 0, "lumen"},
    {"cd", "", 1, 0, "candela"},
    {"dB", "", 1, 0, "decibel"},
    {"dB[mW]", "", 1, 0, "dBm"},
    {"m3/s", "", 1, 0, "m³/s"},
    {"m3/h", "m3/s", 1.0 / 3600.0, 0, "m³/h"},
    {"L/min", "m3/s", 0.001 / 60.0, 0, "l/min lpm"},
    {"L/s", "m3/s", 0.001, 0, "l/s"},
    {"g/m3", "", 1, 0, "g/m³"},
    {"mg/m3", "g/m3", 0.001, 0, "mg/m³"},
    {"ug/m3", "g/m3", 1e-6, 0, "µg/m³ μg/m³"},
    {"N", "", 1, 0, "newton"},
    {"kN", "N", 1000, 0, ""},
    {"By", "", 1, 0, "byte B"},
    {"kBy", "By", 1000, 0, "kB"},
    {"MBy", "By", 1e6, 0, "MB"},
    {"GBy", "By", 1e9, 0, "GB"},
    {"KiBy", "By", 1024, 0, "KiB"},
    {"MiBy", "By", 1048576, 0, "MiB"},
    {"S/m", "", 1, 0, ""},
    {"uS/cm", "S/m", 1e-4, 0, "µS/cm μS/cm"},
    {"[pH]", "", 1, 0, "pH"},
    {"Bq/m3", "", 1, 0, "Bq/m³"},
    {"T", "", 1, 0, "tesla"},
    {"uT", "T", 1e-6, 0, "µT μT"},
    {"W/m2", "", 1, 0, "W/m²"},
};

Result<> refuse(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

Result<> check_spelling(std::string_view spelling) {
  if (spelling.empty() || spelling.size() > UnitTable::kMaxNameSize || !is_valid_utf8(spelling)) {
    return refuse("a unit's spelling has 1 to 64 bytes of UTF-8");
  }
  return {};
}

}  // namespace

UnitTable::UnitTable() : contents_(std::make_shared<const Contents>()) {}

UnitTable UnitTable::built_in() {
  auto contents = std::make_shared<Contents>();
  for (const Row& row : kBuiltIn) {
    const std::string name = row.name;
    contents->units[name] = {*row.base == 0 ? name : row.base, row.factor, row.offset};
    contents->spellings[name] = name;
    std::string_view rest = row.aliases;
    while (!rest.empty()) {
      const auto blank = std::min(rest.find(' '), rest.size());
      contents->spellings[std::string(rest.substr(0, blank))] = name;
      rest.remove_prefix(std::min(blank + 1, rest.size()));
    }
  }
  UnitTable table;
  table.contents_ = std::move(contents);
  return table;
}

Result<> UnitTable::add(const UnitDefinition& unit) {
  SLUICE_TRY(check_spelling(unit.name));
  if (size() >= kMaxUnits) return refuse("the table of units is full");
  if (!std::isfinite(unit.factor) || unit.factor == 0 || !std::isfinite(unit.offset)) {
    return refuse("a unit's factor is a finite number other than 0, its offset a finite number");
  }
  auto next = std::make_shared<Contents>(*contents_);
  Contents::Unit made{.base = unit.name, .factor = unit.factor, .offset = unit.offset};
  if (!unit.base.empty() && unit.base != unit.name) {
    const auto base = canonical(unit.base);
    if (!base) return refuse("nobody knows the base unit \"" + unit.base + "\"");
    // Through to the unit that stands for the dimension, so that one step is always enough.
    const Contents::Unit& through = contents_->units.find(*base)->second;
    made = {.base = through.base,
            .factor = unit.factor * through.factor,
            .offset = unit.offset * through.factor + through.offset};
  } else if (unit.factor != 1 || unit.offset != 0) {
    return refuse("a unit that is its own base has the factor 1 and the offset 0");
  }
  if (!std::isfinite(made.factor) || made.factor == 0 || !std::isfinite(made.offset)) {
    return refuse("the conversion is beyond what a double can hold");
  }
  if (!next->spellings.emplace(unit.name, unit.name).second) {
    return refuse("the spelling \"" + unit.name + "\" is taken");
  }
  for (const std::string& alias : unit.aliases) {
    SLUICE_TRY(check_spelling(alias));
    if (!next->spellings.emplace(alias, unit.name).second) {
      return refuse("the spelling \"" + alias + "\" is taken");
    }
  }
  next->units.emplace(unit.name, std::move(made));
  contents_ = std::move(next);
  return {};
}

std::optional<std::string_view> UnitTable::canonical(std::string_view spelling) const {
  const auto found = contents_->spellings.find(spelling);
  if (found == contents_->spellings.end()) return std::nullopt;
  return found->second;
}

std::optional<Conversion> UnitTable::conversion(std::string_view from, std::string_view to) const {
  const auto from_name = canonical(from);
  const auto to_name = canonical(to);
  if (!from_name || !to_name) return std::nullopt;
  if (*from_name == *to_name) return Conversion{};
  const Contents::Unit& source = contents_->units.find(*from_name)->second;
  const Contents::Unit& target = contents_->units.find(*to_name)->second;
  if (source.base != target.base) return std::nullopt;
  return Conversion{.factor = source.factor / target.factor,
                    .offset = (source.offset - target.offset) / target.factor};
}

std::size_t UnitTable::size() const { return contents_->units.size(); }

bool UnitTable::operator==(const UnitTable& other) const {
  return contents_ == other.contents_ || *contents_ == *other.contents_;
}

}  // namespace sluice::validator
