#include <sluice/json/json.h>

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kNul{"\0", 1};
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Of a number's text; zeros in front and behind say nothing.
std::size_t count_digits(std::string_view number) {
  std::size_t digits = 0;
  std::size_t significant = 0;
  for (const char c : number.substr(0, number.find_first_of("eE"))) {
    if (c < '0' || c > '9' || (c == '0' && digits == 0)) continue;
    ++digits;
    if (c != '0') significant = digits;
  }
  return significant;
}

/// Builds the value from the parser's events, which is where duplicates can still be seen, and
/// stops at the first thing the rules forbid.
class StrictBuilder final : public nlohmann::json_sax<Json> {
 public:
  StrictBuilder(std::string_view text, std::size_t max_depth)
      : text_(text), max_depth_(max_depth) {}

  Json take_root() { return std::move(root_); }
  const FieldFault& fault() const { return fault_; }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (count_digits(text) <= kMaxJsonDigits) return put(value);
    return refuse(std::format("is a number of more than {} digits", kMaxJsonDigits));
  }
  bool binary(binary_t&) override { return refuse("holds what is not JSON"); }
  bool string(string_t& value) override {
    if (value.find(kNul) != string_t::npos) return refuse("contains the character U+0000");
    return put(std::move(value));
  }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (name.find(kNul) != string_t::npos) return refuse("has a name with the character U+0000");
    const bool is_known = level.value->contains(name);
    level.key = std::move(name);
    return is_known ? refuse("is there twice") : true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    // 406: a number out of range. The library's own texts quote the input and name its internals.
    return refuse(e.id == 406 ? "is a number out of range"
                              : std::format("is not valid JSON at {}", place_of(position)));
  }

 private:
  struct Level {
    Json* value;
    std::string key;  // of an object: the member being read
  };

  bool refuse(std::string message) {
    std::string pointer;
    for (const Level& level : levels_) {
      // The innermost array has not got the element that is being read yet.
      const std::size_t pending = &level == &levels_.back() ? 0 : 1;
      pointer = level.value->is_array() ? json_pointer(pointer, level.value->size() - pending)
                                        : json_pointer(pointer, level.key);
    }
    fault_ = {std::move(pointer), std::move(message)};
    return false;
  }

  /// For people, who count from 1.
  std::string place_of(std::size_t offset) const {
    const auto before = text_.substr(0, std::min(offset, text_.size()));
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto column = before.size() - (before.rfind('\n') + 1);  // npos + 1 is 0
    return std::format("line {}, column {}", line, std::max<std::size_t>(column, 1));
  }

  /// Returns where the value went. Pointers stay good: while a container is open, nothing is added
  /// beside it in its parent.
  Json* place(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *levels_.back().value;
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &(parent[levels_.back().key] = std::move(value));
  }
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (levels_.size() == max_depth_) {
      return refuse(std::format("is nested deeper than {} levels", max_depth_));
    }
    levels_.push_back({place(std::move(value)), {}});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  std::string_view text_;
  std::size_t max_depth_;
  Json root_;
  std::vector<Level> levels_;
  FieldFault fault_;
};

std::unexpected<Error> malformed(FieldFault fault) {
  return fail(Error(ErrorCode::kInvalidArgument, "the JSON is not acceptable")
                  .with_fault(std::move(fault.field), std::move(fault.message))
                  .with_reason("malformed_json"));
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::size_t max_depth) {
  if (text.empty()) return malformed({"", "is empty"});
  // nlohmann passes over it, and RFC 8259 forbids to send one.
  if (text.starts_with(kByteOrderMark)) return malformed({"", "starts with a byte order mark"});
  StrictBuilder builder(text, max_depth);
  if (!Json::sax_parse(text, &builder)) return malformed(builder.fault());
  return builder.take_root();
}

Result<Json> parse_json_object(std::string_view text, std::size_t max_depth) {
  SLUICE_TRY_ASSIGN(Json value, parse_json(text, max_depth));
  if (!value.is_object()) return malformed({"", "must be an object"});
  return value;
}

std::string json_pointer(std::string_view base, std::string_view name) {
  std::string out(base);
  out += '/';
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string json_pointer(std::string_view base, std::size_t index) {
  return std::format("{}/{}", base, index);
}

std::string to_json_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice
