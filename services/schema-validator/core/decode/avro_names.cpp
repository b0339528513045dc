#include "core/decode/avro_names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::validator {
namespace {

using Kind = AvroSchema::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 8> kPrimitives = {{
    {"null", Kind::kNull},
    {"boolean", Kind::kBoolean},
    {"int", Kind::kInt},
    {"long", Kind::kLong},
    {"float", Kind::kFloat},
    {"double", Kind::kDouble},
    {"bytes", Kind::kBytes},
    {"string", Kind::kString},
}};

}  // namespace

std::optional<AvroSchema::Kind> avro_primitive_of(std::string_view name) {
  const auto found =
      std::ranges::find(kPrimitives, name, &std::pair<std::string_view, Kind>::first);
  return found == kPrimitives.end() ? std::nullopt : std::optional(found->second);
}

/// A byte at a time.
std::uint64_t crc_64_avro(std::string_view text) {
  constexpr std::uint64_t kEmpty = 0xC15D'213A'A4D7'A795U;
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t i = 0; i < table.size(); ++i) {
    std::uint64_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? kEmpty : 0);
    table[i] = value;
  }
  std::uint64_t sum = kEmpty;
  for (const char c : text) {
    sum = (sum >> 8U) ^ table[(sum ^ static_cast<unsigned char>(c)) & 0xFFU];
  }
  return sum;
}

bool is_avro_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && is_letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

bool is_dotted_avro_name(std::string_view name) {
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!is_avro_name(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace sluice::validator
