#include <sluice/http/json.h>

#include <format>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/utf8.h>

#include <nlohmann/json.hpp>

namespace sluice::http {
namespace {

using nlohmann::json;

/// Thrown out of nlohmann's parser, which has no other way to be stopped; caught in parse_json.
struct Refusal {
  std::string pointer;
  std::string message;
};

std::string escape_pointer(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

/// Follows the parser through the document and refuses what RFC 8259 leaves open.
class Watcher {
 public:
  void on_event(json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        enter(false);
        break;
      case json::parse_event_t::array_start:
        enter(true);
        break;
      case json::parse_event_t::key:
        on_key(parsed.get_ref<const std::string&>());
        break;
      case json::parse_event_t::value:
        next_item();
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        levels_.pop_back();
        break;
    }
  }

 private:
  struct Level {
    bool is_array = false;
    std::size_t items = 0;  // of an array, begun
    std::string key;        // of an object, the last
    std::set<std::string> keys;
  };

  void next_item() {
    if (!levels_.empty()) ++levels_.back().items;
  }

  void enter(bool is_array) {
    next_item();
    if (levels_.size() >= kMaxJsonDepth) {
      throw Refusal{pointer(), std::format("is nested deeper than {} levels", kMaxJsonDepth)};
    }
    levels_.push_back({.is_array = is_array, .items = 0, .key = {}, .keys = {}});
  }

  void on_key(const std::string& key) {
    levels_.back().key = key;
    if (!levels_.back().keys.insert(key).second) throw Refusal{pointer(), "is there twice"};
  }

  std::string pointer() const {
    std::string out;
    for (const Level& level : levels_) {
      out += '/';
      out += level.is_array ? std::to_string(level.items - 1) : escape_pointer(level.key);
    }
    return out;
  }

  std::vector<Level> levels_;
};

/// Where a byte offset is for people, who count from 1.
std::string place_of(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t line_start = before.rfind('\n');
  const std::size_t column =
      line_start == std::string_view::npos ? before.size() : before.size() - line_start - 1;
  return std::format("line {}, column {}", line, std::max<std::size_t>(column, 1));
}

std::unexpected<Error> malformed(std::string what) {
  return fail(Error(ErrorCode::kInvalidArgument, std::move(what)).with_reason("malformed_json"));
}

}  // namespace

Result<json> parse_json(std::string_view text) {
  if (text.empty()) return malformed("a JSON body is needed");
  // nlohmann passes over a byte order mark, RFC 8259 forbids to send one.
  if (text.starts_with("\xEF\xBB\xBF"))
    return malformed("JSON must not start with a byte order mark");
  Watcher watcher;
  try {
    return json::parse(text, [&](int, json::parse_event_t event, json& parsed) {
      watcher.on_event(event, parsed);
      return true;
    });
  } catch (const Refusal& refusal) {
    return fail(Error(ErrorCode::kInvalidArgument, "the JSON is not acceptable")
                    .with_fault(refusal.pointer, refusal.message)
                    .with_reason("malformed_json"));
  } catch (const json::parse_error& e) {
    return malformed("not valid JSON at " + place_of(text, e.byte));
  } catch (const json::exception&) {
    return malformed("the JSON has a number that is too large");
  }
}

Result<json> parse_json_object(std::string_view text) {
  SLUICE_TRY_ASSIGN(auto value, parse_json(text));
  if (!value.is_object()) {
    return fail(Error(ErrorCode::kInvalidArgument, "the body must be a JSON object")
                    .with_fault("", "must be an object"));
  }
  return value;
}

json merge_patch(const json& target, const json& patch) {
  json out = target;
  out.merge_patch(patch);
  return out;
}

std::string to_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::http
