#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// A value that must not be mistaken for another of the same representation.
///   using DeviceId = StrongId<struct DeviceIdTag>;
///   using KafkaOffset = StrongId<struct KafkaOffsetTag, std::int64_t>;
/// Holds no rule of its own: what makes a text a valid id is checked where it enters (ids.h).
template <typename Tag, typename Value = std::string>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(Value value) : value_(std::move(value)) {}

  const Value& value() const { return value_; }

  auto operator<=>(const StrongId&) const = default;

 private:
  Value value_{};
};

}  // namespace sluice

template <typename Tag, typename Value>
struct std::hash<sluice::StrongId<Tag, Value>> {
  std::size_t operator()(const sluice::StrongId<Tag, Value>& id) const noexcept {
    return std::hash<Value>{}(id.value());
  }
};
