#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace sluice::auth {

/// A map that forgets the entry not used for longest when it is full. Not thread-safe.
template <typename Value>
class LruMap {
 public:
  explicit LruMap(std::size_t capacity) : capacity_(capacity) {}

  /// Null when there is none; good until the next put() or erase().
  Value* find(std::string_view key) {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, entry->second);
    return &entry->second->second;
  }

  Value& put(std::string_view key, Value value) {
    if (Value* old = find(key)) return *old = std::move(value);
    if (entries_.size() >= capacity_) erase(std::string(order_.back().first));
    order_.emplace_front(key, std::move(value));
    entries_.emplace(order_.front().first, order_.begin());
    return order_.front().second;
  }

  void erase(std::string_view key) {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return;
    const auto place = entry->second;
    entries_.erase(entry);
    order_.erase(place);
  }

  std::size_t size() const { return entries_.size(); }

 private:
  using Order = std::list<std::pair<const std::string, Value>>;  // used last in front

  const std::size_t capacity_;
  Order order_;
  std::unordered_map<std::string_view, typename Order::iterator>
      entries_;  // views of the keys in order_
};

}  // namespace sluice::auth
