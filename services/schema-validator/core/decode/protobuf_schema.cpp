#include "core/decode/protobuf_schema.h"

#include <algorithm>
#include <format>
#include <limits>
#include <unordered_map>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/stubs/logging.h>

namespace sluice::validator {
namespace {

namespace pb = google::protobuf;
using Type = ProtobufSchema::Type;

constexpr std::size_t kMaxFaults = 20;

class FaultCollector final : public pb::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string& file, const std::string& element, const pb::Message*,
                ErrorLocation, const std::string& message) override {
    if (faults.size() < kMaxFaults) {
      faults.push_back({element.empty() ? file : element, message});
    }
  }
  std::vector<FieldFault> faults{};
};

Type type_of(const pb::FieldDescriptor& field) {
  switch (field.type()) {
    case pb::FieldDescriptor::TYPE_DOUBLE:
      return Type::kDouble;
    case pb::FieldDescriptor::TYPE_FLOAT:
      return Type::kFloat;
    case pb::FieldDescriptor::TYPE_INT64:
      return Type::kInt64;
    case pb::FieldDescriptor::TYPE_UINT64:
      return Type::kUint64;
    case pb::FieldDescriptor::TYPE_INT32:
      return Type::kInt32;
    case pb::FieldDescriptor::TYPE_FIXED64:
      return Type::kFixed64;
    case pb::FieldDescriptor::TYPE_FIXED32:
      return Type::kFixed32;
    case pb::FieldDescriptor::TYPE_BOOL:
      return Type::kBool;
    case pb::FieldDescriptor::TYPE_STRING:
      return Type::kString;
    case pb::FieldDescriptor::TYPE_BYTES:
      return Type::kBytes;
    case pb::FieldDescriptor::TYPE_UINT32:
      return Type::kUint32;
    case pb::FieldDescriptor::TYPE_ENUM:
      return Type::kEnum;
    case pb::FieldDescriptor::TYPE_SFIXED32:
      return Type::kSfixed32;
    case pb::FieldDescriptor::TYPE_SFIXED64:
      return Type::kSfixed64;
    case pb::FieldDescriptor::TYPE_SINT32:
      return Type::kSint32;
    case pb::FieldDescriptor::TYPE_SINT64:
      return Type::kSint64;
    case pb::FieldDescriptor::TYPE_GROUP:
    case pb::FieldDescriptor::TYPE_MESSAGE:
      break;
  }
  return Type::kMessage;
}

ProtobufSchema::Shape shape_of(const pb::Descriptor& message) {
  if (message.full_name() == "google.protobuf.Timestamp") return ProtobufSchema::Shape::kTimestamp;
  const bool is_ours = message.full_name() != "google.protobuf." + message.name();
  const bool is_wrapper = !is_ours && message.name().ends_with("Value") &&
                          message.field_count() == 1 && message.field(0)->name() == "value" &&
                          message.field(0)->number() == 1;
  return is_wrapper ? ProtobufSchema::Shape::kWrapper : ProtobufSchema::Shape::kObject;
}

/// What a device that does not tell a time or a number leaves out must not come to us as 0: its
/// messages would all have one number.
bool is_identity(std::string_view name) { return name == "ts" || name == "seq"; }

}  // namespace

class ProtobufCompiler {
 public:
  explicit ProtobufCompiler(ProtobufSchema& schema) : schema_(schema) {}

  void compile(const pb::Descriptor& root) {
    message_of(root);
    // Breadth first without recursion: message types may reach each other in circles.
    for (std::size_t i = 0; i < todo_.size() && faults_.empty(); ++i) compile_message(i);
  }
  std::vector<FieldFault>& faults() { return faults_; }

 private:
  std::uint32_t message_of(const pb::Descriptor& message) {
    const auto next = static_cast<std::uint32_t>(todo_.size());
    const auto [found, is_new] = messages_.emplace(&message, next);
    if (is_new) {
      todo_.push_back(&message);
      schema_.messages_.push_back({.shape = shape_of(message), .name = message.full_name()});
    }
    return found->second;
  }

  std::uint32_t enum_of(const pb::EnumDescriptor& type) {
    const auto next = static_cast<std::uint32_t>(schema_.enums_.size());
    const auto [found, is_new] = enums_.emplace(&type, next);
    if (is_new) {
      ProtobufSchema::Enum made;
      for (int i = 0; i < type.value_count(); ++i) {
        made.values.emplace_back(type.value(i)->number(), type.value(i)->name());
        if (made.values.back().second.size() > ProtobufSchema::kMaxSymbol) {
          faults_.push_back({type.full_name(), std::format("has a value of more than {} bytes",
                                                           ProtobufSchema::kMaxSymbol)});
          break;
        }
      }
      // Of aliases the first one counts.
      std::ranges::stable_sort(made.values, {}, &std::pair<std::int32_t, std::string>::first);
      schema_.enums_.push_back(std::move(made));
    }
    return found->second;
  }

  void compile_message(std::size_t index) {
    const pb::Descriptor& message = *todo_[index];
    std::vector<ProtobufSchema::Field> fields;
    field_count_ += static_cast<std::size_t>(message.field_count());
    if (todo_.size() > ProtobufSchema::kMaxMessages || field_count_ > ProtobufSchema::kMaxFields) {
      faults_.push_back({message.full_name(),
                         std::format("reaches more than {} messages or {} fields",
                                     ProtobufSchema::kMaxMessages, ProtobufSchema::kMaxFields)});
      return;
    }
    for (int i = 0; i < message.field_count(); ++i) {
      const pb::FieldDescriptor& field = *message.field(i);
      if (field.type() == pb::FieldDescriptor::TYPE_GROUP) {
        faults_.push_back({field.full_name(), "a group is not read"});
        return;
      }
      ProtobufSchema::Field made{.number = static_cast<std::uint32_t>(field.number()),
                                 .type = type_of(field),
                                 .is_repeated = field.is_repeated(),
                                 .is_map = field.is_map(),
                                 .name = field.name()};
      if (made.type == Type::kMessage) made.target = message_of(*field.message_type());
      if (made.type == Type::kEnum) made.target = enum_of(*field.enum_type());
      const bool has_zero =
          made.type != Type::kMessage && made.type != Type::kString && made.type != Type::kBytes;
      made.tells_zero =
          has_zero && !made.is_repeated && !field.has_presence() && !is_identity(made.name);
      fields.push_back(std::move(made));
    }
    std::ranges::sort(fields, {}, &ProtobufSchema::Field::number);
    schema_.messages_[index].fields = std::move(fields);
  }

  ProtobufSchema& schema_;
  std::vector<const pb::Descriptor*> todo_{};
  std::unordered_map<const pb::Descriptor*, std::uint32_t> messages_{};
  std::unordered_map<const pb::EnumDescriptor*, std::uint32_t> enums_{};
  std::size_t field_count_ = 0;
  std::vector<FieldFault> faults_{};
};

Result<std::shared_ptr<const ProtobufSchema>> ProtobufSchema::compile(
    std::string_view descriptor_set, std::string_view message) {
  if (descriptor_set.size() > kMaxDescriptorBytes) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("the descriptor set has more than {} bytes", kMaxDescriptorBytes));
  }
  const pb::LogSilencer silence;  // what it has to say is in the error
  pb::FileDescriptorSet set;
  if (!set.ParseFromArray(descriptor_set.data(), static_cast<int>(descriptor_set.size()))) {
    return fail(ErrorCode::kInvalidArgument, "the document is no FileDescriptorSet");
  }
  pb::DescriptorPool pool;
  FaultCollector collector;
  for (const pb::FileDescriptorProto& file : set.file()) {
    if (pool.BuildFileCollectingErrors(file, &collector) == nullptr) {
      return fail(Error(ErrorCode::kInvalidArgument,
                        "the descriptor set does not stand alone (protoc --include_imports)")
                      .with_faults(std::move(collector.faults)));
    }
  }
  const pb::Descriptor* const root = pool.FindMessageTypeByName(std::string(message));
  if (root == nullptr) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("the descriptor set has no message {}", message));
  }
  // The constructor is private: no make_shared. Owners are the catalogue and those who decode with
  // it.
  const std::shared_ptr<ProtobufSchema> schema(new ProtobufSchema());
  ProtobufCompiler compiler(*schema);
  compiler.compile(*root);
  if (!compiler.faults().empty()) {
    return fail(Error(ErrorCode::kInvalidArgument, "the message cannot be read")
                    .with_faults(std::move(compiler.faults())));
  }
  return schema;
}

}  // namespace sluice::validator
