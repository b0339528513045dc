#pragma once

#include "arena.h"
#include "handle_table.h"

#include <string>
#include <string_view>

namespace sluice::mqtt {

/// Takes the levels off the front of a topic or filter; even an empty one has a level.
class LevelReader {
 public:
  explicit LevelReader(std::string_view text) : rest_(text) {}

  bool at_end() const { return at_end_; }
  /// What is left, unless at_end().
  std::string_view rest() const { return rest_; }

  std::string_view take() {
    const auto level = rest_.substr(0, rest_.find('/'));
    at_end_ = level.size() == rest_.size();
    rest_.remove_prefix(at_end_ ? level.size() : level.size() + 1);
    return level;
  }

 private:
  std::string_view rest_;
  bool at_end_ = false;
};

/// Texts of levels, each kept once and counted; 0 is no level. Comparing levels is comparing
/// numbers, and a topic's level is hashed once, however many branches of a trie ask for it.
class LevelNames {
 public:
  using Id = std::uint32_t;

  explicit LevelNames(const KeyedHash& hash) : hash_(hash) {}

  Id find(std::string_view text) const {
    return table_.find(hash_.of(text), [&](Id id) { return names_[id].text == text; });
  }
  Id acquire(std::string_view text) {
    const auto hash = hash_.of(text);
    Id id = table_.find(hash, [&](Id known) { return names_[known].text == text; });
    if (id == 0) {
      id = names_.acquire();
      names_[id].text = text;
      text_bytes_ += heap_bytes(names_[id].text);
      table_.insert(hash, id);
    }
    ++names_[id].users;
    return id;
  }
  void release(Id id) {
    if (--names_[id].users > 0) return;
    table_.erase(hash_.of(names_[id].text), id);
    text_bytes_ -= heap_bytes(names_[id].text);
    std::string().swap(names_[id].text);  // assigning an empty one would keep the buffer
    names_.release(id);
  }
  std::string_view text(Id id) const { return names_[id].text; }

  void clear() {
    names_.clear();
    table_.clear();
    text_bytes_ = 0;
  }
  std::size_t memory_bytes() const {
    return names_.memory_bytes() + table_.memory_bytes() + text_bytes_;
  }

 private:
  struct Name {
    std::string text{};
    std::uint32_t users = 0;
  };
  static std::size_t heap_bytes(const std::string& text) {
    return text.capacity() > std::string().capacity() ? text.capacity() + 1 : 0;
  }

  KeyedHash hash_;
  Arena<Name> names_{};
  HandleTable table_{};
  std::size_t text_bytes_ = 0;
};

}  // namespace sluice::mqtt
