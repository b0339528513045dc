#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::redis {

/// What Redis answered, as a value. An error inside an array stays a value; an error as the whole
/// answer never becomes a Reply: the call fails.
class Reply {
 public:
  enum class Kind : std::uint8_t { kNil, kText, kInteger, kArray, kError };

  static Reply nil() { return Reply(Kind::kNil); }
  static Reply of_text(std::string text, Kind kind = Kind::kText) {
    Reply reply(kind);
    reply.text_ = std::move(text);
    return reply;
  }
  static Reply of_integer(std::int64_t integer) {
    Reply reply(Kind::kInteger);
    reply.integer_ = integer;
    return reply;
  }
  static Reply of_array(std::vector<Reply> items) {
    Reply reply(Kind::kArray);
    reply.items_ = std::move(items);
    return reply;
  }

  Kind kind() const { return kind_; }
  bool is_nil() const { return kind_ == Kind::kNil; }
  /// Empty unless kind() is kText or kError.
  const std::string& text() const { return text_; }
  /// 0 unless kind() is kInteger.
  std::int64_t integer() const { return integer_; }
  /// Empty unless kind() is kArray.
  const std::vector<Reply>& items() const { return items_; }

 private:
  explicit Reply(Kind kind) : kind_(kind) {}

  Kind kind_;
  std::int64_t integer_ = 0;
  std::string text_;
  std::vector<Reply> items_;
};

}  // namespace sluice::redis
