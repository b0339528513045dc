#include "strict_json.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace sluice::crypto {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 16;

/// Builds the value while it is read and stops at the first thing the strict rules forbid.
class StrictReader final : public nlohmann::json_sax<Json> {
 public:
  Json take() && { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (open_.back()->contains(name)) return false;
    name_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override {
    return false;
  }

 private:
  /// Returns where the value went: pointers into a parent stay good until its next child, and a
  /// parent gets its next child only after this one is closed.
  Json* place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[name_] = std::move(value));
  }
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == kMaxDepth) return false;
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;
  std::string name_;
};

}  // namespace

std::optional<Json> parse_strict_object(std::string_view text) {
  StrictReader reader;
  if (!Json::sax_parse(text, &reader)) return std::nullopt;
  Json value = std::move(reader).take();
  if (!value.is_object()) return std::nullopt;
  return value;
}

}  // namespace sluice::crypto
