#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::validator {

/// How an Avro body is wrapped.
enum class AvroFraming : std::uint8_t {
  kDetect,     // single-object where its marker and the fingerprint are there; else the plain body
               // where it is exactly one; else, behind a zero byte, Confluent's
  kPlain,      // the body alone
  kConfluent,  // 0x00 and four bytes of a schema id, which is not compared with anything
  kSingleObject,  // 0xC3 0x01 and eight bytes of the schema's fingerprint, which must be ours
};

/// A registered Avro schema, compiled once into a flat program for the reader. It is the writer's
/// schema: bodies are read as written, and nothing is resolved against another one. Immutable.
class AvroSchema {
 public:
  enum class Kind : std::uint8_t {
    kNull,
    kBoolean,
    kInt,
    kLong,
    kFloat,
    kDouble,
    kBytes,
    kString,
    kFixed,
    kEnum,
    kArray,
    kMap,
    kUnion,
    kRecord,
  };
  /// One type. Children are indices of nodes: of an array or map its items at `first`; of a union
  /// its branches and of a record its fields in children()[first, first + count).
  struct Node {
    Kind kind = Kind::kNull;
    bool is_decimal = false;  // logicalType decimal: a number, not bytes
    std::uint32_t scale = 0;  // of a decimal
    std::uint32_t size = 0;   // of a fixed
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  struct Child {
    std::uint32_t node = 0;
    std::string name{};  // of a field or an enum's symbol
  };

  static constexpr std::size_t kMaxNodes = 10'000;  // far above any hand-written schema
  static constexpr std::size_t kMaxNesting = 64;    // of the document itself
  static constexpr std::uint32_t kMaxFixedSize = 64 * 1024;
  /// Bytes of an enum's symbol: a payload tells it in one byte, as often as it likes.
  static constexpr std::size_t kMaxSymbol = 256;

  /// kInvalidArgument with the JSON pointer of each fault where the document is no Avro schema.
  static Result<std::shared_ptr<const AvroSchema>> compile(std::string_view document);

  const Node& node(std::uint32_t index) const { return nodes_[index]; }
  const Child& child(std::uint32_t index) const { return children_[index]; }
  std::uint32_t root() const { return root_; }
  /// CRC-64-AVRO of the schema's Parsing Canonical Form.
  std::uint64_t fingerprint() const { return fingerprint_; }
  const std::string& canonical_form() const { return canonical_form_; }

 private:
  friend class AvroCompiler;
  AvroSchema() = default;

  std::vector<Node> nodes_;
  std::vector<Child> children_;
  std::uint32_t root_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::string canonical_form_;
};

}  // namespace sluice::validator
