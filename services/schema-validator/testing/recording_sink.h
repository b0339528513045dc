#pragma once

#include "core/payload/payload_sink.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <format>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/check.h>
#include <sluice/base/encoding.h>
#include <sluice/base/utf8.h>

namespace sluice::validator {

/// Writes down what it is told, as text:
/// {"a":1,"b":d1.5,"c":[true,null,h'00ff',u18446744073709551615]}, and aborts where a decoder
/// breaks PayloadSink's rules.
class RecordingSink final : public PayloadSink {
 public:
  /// Says false at this call, the first being 0: nobody may call it any more.
  explicit RecordingSink(std::size_t stop_at = SIZE_MAX) : stop_at_(stop_at) {}

  const std::string& text() const { return text_; }
  bool is_complete() const { return levels_.empty() && !text_.empty(); }
  std::size_t calls() const { return calls_; }
  std::size_t deepest() const { return deepest_; }

  bool on_null() override { return value("null"); }
  bool on_bool(bool value_) override { return value(value_ ? "true" : "false"); }
  bool on_int64(std::int64_t number) override { return value(std::to_string(number)); }
  bool on_uint64(std::uint64_t number) override {
    SLUICE_CHECK(number > INT64_MAX);
    return value("u" + std::to_string(number));
  }
  bool on_double(double number) override { return value(std::format("d{}", number)); }
  bool on_string(std::string_view text) override {
    SLUICE_CHECK(is_valid_utf8(text));
    return value(std::format("\"{}\"", text));
  }
  bool on_bytes(std::span<const std::byte> bytes) override {
    const auto* const data = reinterpret_cast<const char*>(bytes.data());
    return value(std::format("h'{}'", to_hex({data, bytes.size()})));
  }
  bool begin_object() override { return begin('{'); }
  bool begin_array() override { return begin('['); }
  bool on_key(std::string_view key) override {
    SLUICE_CHECK(!levels_.empty() && levels_.back().opened == '{' && !levels_.back().has_key);
    SLUICE_CHECK(is_valid_utf8(key));
    if (levels_.back().count > 0) text_ += ',';
    levels_.back().has_key = true;
    text_ += std::format("\"{}\":", key);
    return call();
  }
  bool end_object() override { return end('{', '}'); }
  bool end_array() override { return end('[', ']'); }

 private:
  struct Level {
    char opened = '{';
    bool has_key = false;
    std::size_t count = 0;
  };

  bool call() {
    SLUICE_CHECK(calls_ <= stop_at_);
    return calls_++ < stop_at_;
  }
  void before_value() {
    if (levels_.empty()) {
      SLUICE_CHECK(text_.empty());  // one value, and nothing after it
      return;
    }
    Level& level = levels_.back();
    SLUICE_CHECK(level.opened == '[' || level.has_key);
    if (level.opened == '[' && level.count > 0) text_ += ',';
    level.has_key = false;
    ++level.count;
  }
  bool value(std::string_view text) {
    before_value();
    text_ += text;
    return call();
  }
  bool begin(char opened) {
    before_value();
    levels_.push_back({.opened = opened});
    deepest_ = std::max(deepest_, levels_.size());
    text_ += opened;
    return call();
  }
  bool end(char opened, char closing) {
    SLUICE_CHECK(!levels_.empty() && levels_.back().opened == opened && !levels_.back().has_key);
    levels_.pop_back();
    text_ += closing;
    return call();
  }

  std::size_t stop_at_;
  std::size_t calls_ = 0;
  std::size_t deepest_ = 0;
  std::string text_{};
  std::vector<Level> levels_{};
};

}  // namespace sluice::validator
