#include "core/schema/rules_evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::validator {
namespace {

/// Frames of the evaluation that may be open: a document's nesting, times the references that each
/// level may go through.
constexpr std::size_t kMaxOpen = 1000;

bool is_number(const Tape::Node& node) {
  return node.type == JsonType::kInt64 || node.type == JsonType::kUint64 ||
         node.type == JsonType::kDouble;
}

long double number_of(const Tape::Node& node) {
  // 64 bits of mantissa at least, on x86-64 and on ARM alike: no value of ours is rounded.
  static_assert(std::numeric_limits<long double>::digits >= 64);
  switch (node.type) {
    case JsonType::kInt64:
      return static_cast<long double>(node.integer);
    case JsonType::kUint64:
      return static_cast<long double>(node.natural);
    default:
      return static_cast<long double>(node.number);
  }
}

std::uint8_t types_of(const Tape::Node& node) {
  switch (node.type) {
    case JsonType::kNull:
      return kNullType;
    case JsonType::kBool:
      return kBooleanType;
    case JsonType::kInt64:
    case JsonType::kUint64:
      return kIntegerType | kNumberType;
    case JsonType::kDouble:
      return std::trunc(node.number) == node.number ? kIntegerType | kNumberType : kNumberType;
    case JsonType::kString:
      return kStringType;
    case JsonType::kArray:
      return kArrayType;
    case JsonType::kObject:
      return kObjectType;
  }
  return 0;
}

bool is_multiple(double value, double divisor) {
  if (std::fmod(value, divisor) == 0) return true;
  // 0.0075 is a multiple of 0.0001 for whoever writes decimals, and none for the doubles nearest to
  // them: the quotient may be off by the rounding of both and of itself.
  const double quotient = value / divisor;
  if (!std::isfinite(quotient)) return false;
  // Doubles so large are whole numbers, all of them.
  if (std::abs(quotient) >= 9007199254740992.0) return true;
  const double off = std::abs(quotient - std::nearbyint(quotient));
  return off <= 2 * std::numeric_limits<double>::epsilon() * std::abs(quotient);
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

bool Evaluation::broken(std::string detail) {
  if (quiet_ > 0 || !violation_.detail.empty()) return false;
  violation_.detail = std::move(detail);
  for (const Step& each : path_) {
    violation_.pointer.push_back('/');
    if (each.is_item) {
      violation_.pointer += std::to_string(each.index);
      continue;
    }
    for (const char c : tape_.key_of(tape_[each.node])) {
      if (c == '~') {
        violation_.pointer += "~0";
      } else if (c == '/') {
        violation_.pointer += "~1";
      } else {
        violation_.pointer.push_back(c);
      }
    }
  }
  return false;
}

bool Evaluation::is_equal(const Tape& a, std::uint32_t left, const Tape& b, std::uint32_t right) {
  if (!step()) return false;
  const Tape::Node& x = a[left];
  const Tape::Node& y = b[right];
  if (is_number(x) && is_number(y)) return number_of(x) == number_of(y);
  if (x.type != y.type || x.count != y.count) return false;
  switch (x.type) {
    case JsonType::kBool:
      return x.integer == y.integer;
    case JsonType::kString:
      return a.text(x) == b.text(y);
    case JsonType::kArray:
      for (auto i = x.first, j = y.first; i != Tape::kNone; i = a[i].next, j = b[j].next) {
        if (!is_equal(a, i, b, j)) return false;
      }
      return true;
    case JsonType::kObject:
      for (auto i = x.first; i != Tape::kNone; i = a[i].next) {
        auto j = y.first;
        while (j != Tape::kNone && b.key_of(b[j]) != a.key_of(a[i])) {
          if (!step()) return false;
          j = b[j].next;
        }
        if (j == Tape::kNone || !is_equal(a, i, b, j)) return false;
      }
      return true;
    default:
      return true;
  }
}

bool Evaluation::obeys(Rule::Index index, std::uint32_t at, Marks* outer) {
  if (!step()) return false;
  if (open_ >= kMaxOpen) {
    is_out_ = true;
    return false;
  }
  const Rule& rule = all_.rules[index];
  if (rule.verdict) return *rule.verdict || broken("nothing is allowed here");
  const Tape::Node& node = tape_[at];
  ++open_;
  Marks own(all_.has_unevaluated ? node.count : 0, 0);
  Marks* const marks = all_.has_unevaluated ? &own : nullptr;
  const bool is_good = [&] {
    if (rule.types && (*rule.types & types_of(node)) == 0) return broken("of the wrong type");
    if (rule.allowed && std::ranges::none_of(*rule.allowed, [&](std::uint32_t value) {
          return is_equal(tape_, at, all_.values, value);
        })) {
      return broken("none of the values that are allowed");
    }
    if (is_number(node) && !number(rule, node)) return false;
    if (node.type == JsonType::kString && !text(rule, tape_.text(node))) return false;
    if (node.type == JsonType::kObject && !object(rule, at, marks)) return false;
    if (node.type == JsonType::kArray && !array(rule, at, marks)) return false;
    return branches(rule, at, marks) && left_over(rule, at, marks);
  }();
  --open_;
  if (is_good && outer != nullptr && marks != nullptr) {
    for (std::size_t i = 0; i < own.size(); ++i) (*outer)[i] |= own[i];
  }
  return is_good && !is_out_;
}

bool Evaluation::number(const Rule& rule, const Tape::Node& node) {
  const long double value = number_of(node);
  if (rule.minimum && value < *rule.minimum) return broken("less than the minimum");
  if (rule.maximum && value > *rule.maximum) return broken("more than the maximum");
  if (rule.above && value <= *rule.above) return broken("not above the exclusive minimum");
  if (rule.below && value >= *rule.below) return broken("not below the exclusive maximum");
  if (rule.multiple_of && !is_multiple(static_cast<double>(value), *rule.multiple_of)) {
    return broken("no multiple of what it has to be");
  }
  return true;
}

bool Evaluation::text(const Rule& rule, std::string_view text) {
  if (rule.min_length > 0 || rule.max_length != SIZE_MAX) {
    const std::size_t length = characters(text);
    if (length < rule.min_length) return broken("shorter than allowed");
    if (length > rule.max_length) return broken("longer than allowed");
  }
  if (rule.pattern && !matches(*rule.pattern, text)) {
    return broken("does not match " + text_of(*rule.pattern));
  }
  return true;
}

bool Evaluation::any_of(const Rule& rule, std::uint32_t at, Marks* marks) {
  bool is_any = rule.any_of.empty();
  for (const Rule::Index branch : rule.any_of) {
    is_any |= silently(branch, at, marks);
    if (is_any && marks == nullptr) break;  // others matter for what they look at alone
  }
  return is_any || broken("obeys none of anyOf");
}

bool Evaluation::branches(const Rule& rule, std::uint32_t at, Marks* marks) {
  if (rule.reference && !obeys(*rule.reference, at, marks)) return false;
  for (const Rule::Index branch : rule.all_of) {
    if (!obeys(branch, at, marks)) return false;
  }
  if (!any_of(rule, at, marks)) return false;
  if (!rule.one_of.empty()) {
    std::size_t count = 0;
    for (const Rule::Index branch : rule.one_of) {
      if (silently(branch, at, marks)) ++count;
    }
    if (count != 1) return broken(count == 0 ? "obeys none of oneOf" : "obeys several of oneOf");
  }
  if (rule.negated && silently(*rule.negated, at, nullptr)) return broken("obeys what it must not");
  if (rule.condition) {
    const auto& branch = silently(*rule.condition, at, marks) ? rule.consequence : rule.alternative;
    if (branch && !obeys(*branch, at, marks)) return false;
  }
  return !is_out_;
}

bool JsonRules::is_valid(const Tape& tape, std::uint32_t root, std::size_t max_steps,
                         Violation& violation) const {
  Evaluation evaluation(*inside_, tape, max_steps);
  const bool is_good = evaluation.obeys(0, root, nullptr) && !evaluation.is_out_of_steps();
  if (is_good) return true;
  violation = evaluation.take_violation();
  if (evaluation.is_out_of_steps()) {
    violation = {.pointer = {},
                 .detail = "judging this takes more steps than a payload may have",
                 .is_out_of_steps = true};
  }
  return false;
}

}  // namespace sluice::validator
