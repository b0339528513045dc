#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::validator {

enum class JsonType : std::uint8_t {
  kNull,
  kBool,
  kInt64,
  kUint64,
  kDouble,
  kString,
  kArray,
  kObject
};

/// One value in flat memory: what rules that need the whole of it are applied to. Reused, so that
/// nothing is allocated once it is warm.
class Tape {
 public:
  static constexpr std::uint32_t kNone = 0xFFFF'FFFF;

  struct Node {
    JsonType type = JsonType::kNull;
    std::uint32_t next = kNone;   // sibling
    std::uint32_t first = kNone;  // child
    std::uint32_t last = kNone;
    std::uint32_t count = 0;  // children
    std::uint32_t text = 0;   // of a string: place and size in texts
    std::uint32_t text_size = 0;
    std::uint32_t key = 0;  // of an object's member
    std::uint32_t key_size = 0;
    union {
      std::int64_t integer = 0;  // kBool too
      std::uint64_t natural;
      double number;
    };
  };

  void clear() {
    nodes_.clear();
    texts_.clear();
    open_.clear();
    key_ = 0;
    key_size_ = 0;
  }
  void key(std::string_view key) {
    key_ = put_text(key);
    key_size_ = static_cast<std::uint32_t>(key.size());
  }
  void add_null() { add(JsonType::kNull); }
  void add_bool(bool value) { add(JsonType::kBool).integer = value ? 1 : 0; }
  void add_int64(std::int64_t value) { add(JsonType::kInt64).integer = value; }
  void add_uint64(std::uint64_t value) { add(JsonType::kUint64).natural = value; }
  void add_double(double value) { add(JsonType::kDouble).number = value; }
  void add_string(std::string_view value) {
    const std::uint32_t place = put_text(value);
    Node& node = add(JsonType::kString);
    node.text = place;
    node.text_size = static_cast<std::uint32_t>(value.size());
  }
  void begin(JsonType type) {
    add(type);
    open_.push_back(static_cast<std::uint32_t>(nodes_.size() - 1));
  }
  void end() { open_.pop_back(); }

  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }
  const Node& operator[](std::uint32_t index) const { return nodes_[index]; }
  std::string_view text(const Node& node) const {
    return std::string_view(texts_).substr(node.text, node.text_size);
  }
  std::string_view key_of(const Node& node) const {
    return std::string_view(texts_).substr(node.key, node.key_size);
  }

 private:
  std::uint32_t put_text(std::string_view text) {
    const auto place = static_cast<std::uint32_t>(texts_.size());
    texts_.append(text);
    return place;
  }
  Node& add(JsonType type) {
    const auto index = static_cast<std::uint32_t>(nodes_.size());
    if (!open_.empty()) {
      Node& parent = nodes_[open_.back()];
      (parent.count++ == 0 ? parent.first : nodes_[parent.last].next) = index;
      parent.last = index;
    }
    Node& node = nodes_.emplace_back();
    node.type = type;
    node.key = key_;
    node.key_size = key_size_;
    return node;
  }

  std::vector<Node> nodes_;
  std::string texts_;
  std::vector<std::uint32_t> open_;
  std::uint32_t key_ = 0;
  std::uint32_t key_size_ = 0;
};

}  // namespace sluice::validator
