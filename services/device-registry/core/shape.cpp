#include "core/shape.h"

#include "core/json.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>

namespace sluice::registry {
namespace {

std::size_t count_characters(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool has_control_character(std::string_view text, bool may_break_lines) {
  return std::ranges::any_of(text, [&](char c) {
    if (may_break_lines && (c == '\n' || c == '\r')) return false;
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_base64url(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
}

std::string join(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

/// The deepest nesting, the widest object and the number of scalars of a value.
struct Extent {
  std::size_t depth = 0;
  std::size_t width = 0;
  std::size_t scalars = 0;
  bool has_odd_number = false;  // see kMaxAttributeNumber
};

bool is_odd_number(const Json& value) {
  if (!value.is_number_float()) return false;
  const double size = std::abs(value.get<double>());
  return size != 0 && (size > kMaxAttributeNumber || size < 1 / kMaxAttributeNumber);
}

// Recursion is bounded by parse_json's kMaxJsonDepth.
Extent measure(const Json& value) {
  if (!value.is_structured()) {
    return {.scalars = value.is_null() ? 0U : 1U, .has_odd_number = is_odd_number(value)};
  }
  Extent extent{.width = value.size()};
  for (const Json& child : value) {
    const Extent inner = measure(child);
    extent.depth = std::max(extent.depth, inner.depth);
    extent.width = std::max(extent.width, inner.width);
    extent.scalars += inner.scalars;
    extent.has_odd_number = extent.has_odd_number || inner.has_odd_number;
  }
  ++extent.depth;
  return extent;
}

class Checker {
 public:
  void check_object(const Json& document, Shape shape, const std::string& base) {
    if (!document.is_object()) return add(base, "must be an object");
    for (const auto& [name, value] : document.items()) {
      const auto field = std::ranges::find(shape, name, &Field::name);
      if (field == shape.end()) {
        add(json_pointer(base, name), "there is no such field, or it cannot be written here");
      } else if (!value.is_null()) {
        check_value(value, *field, json_pointer(base, name));
      }
    }
    for (const Field& field : shape) {
      if (!field.is_required) continue;
      const auto found = document.find(field.name);
      if (found == document.end() || found->is_null())
        add(json_pointer(base, field.name), "is required");
    }
  }

  std::vector<FieldFault> take() { return std::move(faults_); }

 private:
  void add(std::string pointer, std::string message) {
    if (faults_.size() < kMaxFaults) faults_.push_back({std::move(pointer), std::move(message)});
  }

  void check_value(const Json& value, const Field& field, const std::string& at) {
    switch (field.type) {
      case Field::Type::kInteger:
        return check_integer(value, field, at);
      case Field::Type::kBoolean:
        if (!value.is_boolean()) add(at, "must be true or false");
        return;
      case Field::Type::kAttributes:
        return check_attributes(value, at);
      case Field::Type::kObject:
        return check_object(value, field.fields, at);
      case Field::Type::kList:
      case Field::Type::kFreeList:
        return check_list(value, field, at);
      default:
        if (!value.is_string()) return add(at, "must be a text");
        return check_text(value.get_ref<const std::string&>(), field, at);
    }
  }

  void check_text(const std::string& text, const Field& field, const std::string& at) {
    if (field.type == Field::Type::kId) {
      if (const auto result = check_id(text, at); !result) {
        add(at, result.error().faults().empty() ? result.error().message()
                                                : result.error().faults().front().message);
      }
      return;
    }
    if (field.type == Field::Type::kOneOf) {
      if (std::ranges::find(field.one_of, text) == field.one_of.end()) {
        add(at, "must be one of " + join(field.one_of));
      }
      return;
    }
    if (field.type == Field::Type::kTime) {
      if (!is_time(text)) {
        add(at,
            "must be a time as RFC 3339 has it, of the years 1 to 9999, like 2026-01-31T12:00:00Z");
      }
      return;
    }
    const auto size = static_cast<std::int64_t>(count_characters(text));
    if (size < field.min || size > field.max) {
      add(at, field.min == field.max
                  ? std::format("must have {} characters", field.min)
                  : std::format("must have {} to {} characters", field.min, field.max));
    }
    if (field.type == Field::Type::kHex && !is_lower_hex(text)) add(at, "must be lower-case hex");
    if (field.type == Field::Type::kBase64Url && !is_base64url(text)) {
      add(at, "must be base64url without padding");
    }
    if (has_control_character(text, field.type == Field::Type::kPem)) {
      add(at, "must not contain control characters");
    }
  }

  void check_integer(const Json& value, const Field& field, const std::string& at) {
    // 1.0 is an integer to JSON Schema and to every client library that has one number type.
    const bool is_integral =
        value.is_number_integer() ||
        (value.is_number_float() &&
         value.get<double>() == static_cast<double>(static_cast<std::int64_t>(
                                    std::clamp(value.get<double>(), -9e15, 9e15))));
    const double number = value.is_number() ? value.get<double>() : 0;
    if (!is_integral || number < static_cast<double>(field.min) ||
        number > static_cast<double>(field.max)) {
      add(at, std::format("must be a whole number from {} to {}", field.min, field.max));
    }
  }

  void check_attributes(const Json& value, const std::string& at) {
    if (!value.is_object()) return add(at, "must be an object");
    const Extent extent = measure(value);
    if (extent.depth > kMaxAttributesDepth) {
      add(at, std::format("must not nest deeper than {} levels", kMaxAttributesDepth));
    }
    if (extent.width > kMaxAttributes) {
      add(at, std::format("must not have more than {} members in one place", kMaxAttributes));
    }
    if (extent.scalars > kMaxAttributeScalars) {
      add(at, std::format("must not have more than {} values in all", kMaxAttributeScalars));
    }
    if (extent.has_odd_number) {
      add(at, std::format("must not have numbers beyond {0} or, but for 0, within 1/{0}",
                          kMaxAttributeNumber));
    }
    if (value.dump().size() > kMaxAttributesSize) {
      add(at, std::format("must not be longer than {} bytes", kMaxAttributesSize));
    }
  }

  void check_list(const Json& value, const Field& field, const std::string& at) {
    if (!value.is_array()) return add(at, "must be a list");
    const auto size = static_cast<std::int64_t>(value.size());
    if (size < field.min || size > field.max) {
      return add(at, std::format("must have {} to {} items", field.min, field.max));
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (field.type == Field::Type::kList) {
        check_object(value[i], field.fields, json_pointer(at, i));
      } else {
        check_attributes(value[i], json_pointer(at, i));
      }
    }
  }

  std::vector<FieldFault> faults_;
};

}  // namespace

bool is_time(std::string_view text) {
  using namespace std::chrono;
  static constexpr sys_days kFirst = year(1) / January / 1;
  static constexpr sys_days kEnd = year(10'000) / January / 1;
  const auto time = parse_rfc3339(text);
  return time && *time >= kFirst && *time < kEnd;
}

std::vector<FieldFault> check_shape(const Json& document, Shape shape, std::string_view base) {
  Checker checker;
  checker.check_object(document, shape, std::string(base));
  return checker.take();
}

}  // namespace sluice::registry
