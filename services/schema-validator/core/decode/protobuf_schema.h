#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::validator {

/// One message type of a registered FileDescriptorSet, and all that it reaches, compiled into
/// tables for the reader. Immutable; free of the Protobuf library once compiled.
class ProtobufSchema {
 public:
  enum class Type : std::uint8_t {
    kDouble,
    kFloat,
    kInt64,
    kUint64,
    kInt32,
    kUint32,
    kSint32,
    kSint64,
    kFixed32,
    kFixed64,
    kSfixed32,
    kSfixed64,
    kBool,
    kEnum,
    kString,
    kBytes,
    kMessage,
  };
  /// What a message is told as.
  enum class Shape : std::uint8_t {
    kObject,
    kTimestamp,  // google.protobuf.Timestamp: seconds since the epoch
    kWrapper,    // google.protobuf.DoubleValue and its like: the value alone
  };
  struct Field {
    std::uint32_t number = 0;
    Type type = Type::kInt32;
    bool is_repeated = false;
    bool is_map = false;  // then `target` is the entry, whose fields are 1 and 2
    /// Absent means zero, as proto3 writes it: a number, truth value or enum without presence.
    bool tells_zero = false;
    std::uint32_t target = 0;  // message or enum
    std::string name{};
  };
  struct Message {
    Shape shape = Shape::kObject;
    std::vector<Field> fields{};  // by number
    std::string name{};
  };
  struct Enum {
    std::vector<std::pair<std::int32_t, std::string>> values{};  // by number
  };

  static constexpr std::size_t kMaxDescriptorBytes = 1024 * 1024;
  static constexpr std::size_t kMaxMessages = 1'000;
  static constexpr std::size_t kMaxFields = 10'000;
  /// Bytes of the name of an enum's value: a payload tells it in two bytes, or by leaving it out.
  static constexpr std::size_t kMaxSymbol = 256;

  /// `descriptor_set` is what `protoc --descriptor_set_out --include_imports` writes; `message` is
  /// a full name such as "acme.v1.Telemetry". kInvalidArgument, saying what is missing or cannot be
  /// read (groups), otherwise.
  static Result<std::shared_ptr<const ProtobufSchema>> compile(std::string_view descriptor_set,
                                                               std::string_view message);

  const Message& message(std::uint32_t index) const { return messages_[index]; }
  const Enum& enumeration(std::uint32_t index) const { return enums_[index]; }
  const Message& root() const { return messages_.front(); }

 private:
  friend class ProtobufCompiler;
  ProtobufSchema() = default;

  std::vector<Message> messages_;  // the first is the root
  std::vector<Enum> enums_;
};

}  // namespace sluice::validator
