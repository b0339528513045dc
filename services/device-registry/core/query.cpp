#include "core/query.h"

#include "core/json.h"

#include <algorithm>

#include <sluice/base/clock.h>
#include <sluice/base/encoding.h>
#include <sluice/base/uuid.h>

namespace sluice::registry {
namespace {

Error bad(std::string_view parameter, std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::format("{}: {}", parameter, message))
      .with_fault(std::string(parameter), std::move(message));
}

class FilterParser {
 public:
  FilterParser(std::string_view text, const ResourceInfo& info) : text_(text), info_(info) {}

  Result<Filter> parse() {
    Filter filter;
    skip_blanks();
    while (at_ < text_.size()) {
      if (filter.size() == kMaxFilterTerms)
        return refuse(std::format("more than {} terms", kMaxFilterTerms));
      SLUICE_TRY_ASSIGN(Comparison comparison, parse_comparison());
      filter.push_back(std::move(comparison));
      skip_blanks();
      if (at_ == text_.size()) break;
      if (take_word() != "AND") return refuse("expected AND");
      skip_blanks();
      if (at_ == text_.size()) return refuse("expected a comparison after AND");
    }
    return filter;
  }

 private:
  std::unexpected<Error> refuse(std::string reason) const {
    return fail(bad("filter", std::format("{} at character {}", reason, at_ + 1)));
  }

  Result<Comparison> parse_comparison() {
    Comparison comparison;
    const std::string name = take_word();
    const auto field = std::ranges::find(info_.query_fields, name, &QueryField::name);
    if (field == info_.query_fields.end()) {
      return refuse(name.empty() ? "expected the name of a field"
                                 : "there is no field \"" + name + "\" to filter by");
    }
    comparison.field = &*field;
    while (take('.')) {
      SLUICE_TRY_ASSIGN(std::string word, take_path_word());
      comparison.path.push_back(std::move(word));
      if (comparison.path.size() > kMaxPathSize) return refuse("the name has too many parts");
    }
    if ((field->type == QueryField::Type::kAttributes) == comparison.path.empty()) {
      return refuse(comparison.path.empty() ? "say which attribute, like metadata.site"
                                            : "this field has no parts");
    }
    skip_blanks();
    SLUICE_TRY_ASSIGN(comparison.op, take_operator());
    skip_blanks();
    SLUICE_TRY_ASSIGN(comparison.value, take_value());
    SLUICE_TRY(check_types(comparison));
    return comparison;
  }

  Result<> check_types(const Comparison& comparison) const {
    using Type = QueryField::Type;
    const bool is_order = comparison.op != Comparison::Operator::kEqual &&
                          comparison.op != Comparison::Operator::kNotEqual;
    switch (comparison.field->type) {
      case Type::kAttributes:
        if (is_order) return refuse("attributes can be compared with = and != only");
        return {};
      case Type::kTime:
        if (comparison.value.is_null() && !is_order) return {};
        if (!comparison.value.is_string() ||
            !is_time(comparison.value.get_ref<const std::string&>())) {
          return refuse("expected a time as RFC 3339 has it, in quotes, of the years 1 to 9999");
        }
        return {};
      case Type::kUuid:
        if (!comparison.value.is_string() ||
            !Uuid::parse(comparison.value.get_ref<const std::string&>())) {
          return refuse("expected a UUID in quotes");
        }
        return {};
      case Type::kBoolean:
        if (is_order || !comparison.value.is_boolean()) {
          return refuse("this field can be compared by = and != with true and false only");
        }
        return {};
      case Type::kText:
        if (is_order) return refuse("this field can be compared with = and != only");
        if (!comparison.value.is_string() && !comparison.value.is_null()) {
          return refuse("expected a text in quotes, or null");
        }
        return {};
    }
    return {};
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string take_word() {
    const std::size_t begin = at_;
    const auto is_word = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-';
    };
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  Result<std::string> take_path_word() {
    if (at_ < text_.size() && text_[at_] == '"') {
      SLUICE_TRY_ASSIGN(Json word, take_value());
      return word.get<std::string>();
    }
    std::string word = take_word();
    if (word.empty()) return refuse("expected a name after the dot");
    return word;
  }
  Result<Comparison::Operator> take_operator() {
    using enum Comparison::Operator;
    if (take('=')) return kEqual;
    if (take('!')) {
      if (take('=')) return kNotEqual;
      return refuse("expected != ");
    }
    if (take('<')) return take('=') ? kLessOrEqual : kLess;
    if (take('>')) return take('=') ? kGreaterOrEqual : kGreater;
    return refuse("expected =, !=, <, <=, > or >=");
  }
  /// A JSON scalar: a text up to its closing quote, or what stands until the next blank.
  Result<Json> take_value() {
    const std::size_t begin = at_;
    if (take('"')) {
      while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2U : 1U;
      if (at_ >= text_.size()) {
        at_ = begin;
        return refuse("this text has no closing quote");
      }
      ++at_;
    } else {
      while (at_ < text_.size() && text_[at_] != ' ' && text_[at_] != '\t') ++at_;
    }
    auto value = parse_json(text_.substr(begin, at_ - begin));
    if (!value || value->is_structured()) {
      at_ = begin;
      return refuse("expected a text in quotes, a number, true, false or null");
    }
    return *std::move(value);
  }

  static constexpr std::size_t kMaxPathSize = kMaxAttributesDepth;

  std::string_view text_;
  const ResourceInfo& info_;
  std::size_t at_ = 0;
};

/// FNV-1a: tells questions apart; nothing depends on it being hard to forge.
std::string fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return std::format("{:016x}", hash);
}

}  // namespace

Result<Filter> parse_filter(std::string_view text, const ResourceInfo& info) {
  if (text.size() > kMaxFilterSize) {
    return fail(
        bad("filter", std::format("must not be longer than {} characters", kMaxFilterSize)));
  }
  return FilterParser(text, info).parse();
}

Result<Order> parse_order(std::string_view text, const ResourceInfo& info) {
  if (text.empty()) text = info.default_order;
  const std::size_t blank = text.find(' ');
  const std::string_view name = text.substr(0, blank);
  const std::string_view direction =
      blank == std::string_view::npos ? "asc" : text.substr(blank + 1);
  const auto field = std::ranges::find(info.query_fields, name, &QueryField::name);
  if (field == info.query_fields.end() || !field->is_sortable ||
      (direction != "asc" && direction != "desc")) {
    std::string names;
    for (const QueryField& sortable : info.query_fields) {
      if (sortable.is_sortable) names += (names.empty() ? "" : ", ") + std::string(sortable.name);
    }
    return fail(
        bad("order_by", "must be one of " + names + ", optionally followed by asc or desc"));
  }
  return Order{.field = &*field, .is_descending = direction == "desc"};
}

std::string question_of(const ResourceInfo& info, std::string_view filter,
                        std::string_view order_by) {
  return std::format("{}\n{}\n{}", info.noun, filter, order_by);
}

std::string encode_page_token(const Position& position, std::string_view question) {
  return to_base64url(Json::array({fingerprint(question), position.value, position.id}).dump());
}

Result<Position> decode_page_token(std::string_view token, std::string_view question,
                                   const Order& order, const ResourceInfo& info) {
  const Error refusal =
      bad("page_token", "is not a page token of this list with this filter and order");
  if (token.size() > 1024) return fail(refusal);
  const std::optional<std::string> text = from_base64url(token);
  if (!text) return fail(refusal);
  const auto json = parse_json(*text);
  const auto is_text = [](const Json& item) { return item.is_string(); };
  if (!json || !json->is_array() || json->size() != 3 || !std::ranges::all_of(*json, is_text) ||
      (*json)[0] != fingerprint(question)) {
    return fail(refusal);
  }
  Position position{.value = (*json)[1], .id = (*json)[2]};
  const auto fits = [](QueryField::Type type, const std::string& value) {
    if (type == QueryField::Type::kTime) return is_time(value);
    if (type == QueryField::Type::kUuid) return Uuid::parse(value).has_value();
    return check_id(value, "page_token").has_value();
  };
  const auto id_field = std::ranges::find(info.query_fields, info.id_field, &QueryField::name);
  const auto id_type =
      id_field == info.query_fields.end() ? QueryField::Type::kText : id_field->type;
  if (!fits(order.field->type, position.value) || !fits(id_type, position.id)) return fail(refusal);
  return position;
}

}  // namespace sluice::registry
