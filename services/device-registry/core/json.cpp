#include "core/json.h"

#include <set>

namespace sluice::registry {
namespace {

constexpr std::string_view kNul{"\0", 1};

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

/// Builds a value from the parser's events, which is where duplicates can still be seen.
class StrictBuilder final : public nlohmann::json_sax<Json> {
 public:
  Json root;
  std::string fault;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (count_digits(text) <= kMaxDigits) return put(value);
    return refuse(std::format("a number has more than {} significant digits", kMaxDigits));
  }
  bool string(string_t& value) override {
    if (value.find(kNul) != string_t::npos) return refuse("a text contains the character U+0000");
    return put(std::move(value));
  }
  bool binary(binary_t&) override { return refuse("binary values are not JSON"); }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (name.find(kNul) != string_t::npos) return refuse("a name contains the character U+0000");
    if (open_.back()->contains(name))
      return refuse("the name \"" + name + "\" occurs twice in one object");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    // 406 is "number out of range"; the library's own texts quote the input and name its internals.
    return refuse(e.id == 406 ? "a number is out of range"
                              : std::format("not valid JSON at byte {}", position));
  }

 private:
  bool refuse(std::string reason) {
    fault = std::move(reason);
    return false;
  }

  Json* place(Json value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &(parent[key_] = std::move(value));
  }
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == kMaxJsonDepth) {
      return refuse(std::format("nested deeper than {} levels", kMaxJsonDepth));
    }
    // Pointers stay valid: while a container is open, nothing is added beside it in its parent.
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Json*> open_;
  std::string key_;
};

std::string escape(std::string_view name) {
  std::string out;
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

}  // namespace

Result<Json> parse_json(std::string_view text) {
  StrictBuilder builder;
  if (!Json::sax_parse(text, &builder)) {
    return fail(Error(ErrorCode::kInvalidArgument, builder.fault).with_fault("", builder.fault));
  }
  return std::move(builder.root);
}

std::string pointer_to(std::string_view base, std::string_view name) {
  return std::format("{}/{}", base, escape(name));
}

std::string pointer_to(std::string_view base, std::size_t index) {
  return std::format("{}/{}", base, index);
}

std::string text_at(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t integer_at(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

bool boolean_at(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

void apply_merge_patch(Json& target, const Json& patch) { target.merge_patch(patch); }

}  // namespace sluice::registry
