#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/strong_id.h>
#include <sluice/base/uuid.h>

namespace sluice::postgres {

/// SQL that came with the program. Made from literals alone, at compile time, so that a value can
/// only reach the server as a parameter, never as part of a statement:
///   tx.query("SELECT name FROM devices WHERE id = $1", {id});   // compiles
///   tx.query("SELECT … WHERE id = '" + id + "'");               // does not
class Sql {
 public:
  consteval Sql(const char* literal) : text_(literal) {}  // NOLINT: implicit on purpose

  /// For text that is the program's own though not a literal, such as an embedded migration. Never
  /// for anything that holds a value from outside; for a name that is only known at run time see
  /// Statement.
  static Sql from_trusted_text(std::string_view text) { return Sql(Trusted{}, text); }

  std::string_view text() const { return text_; }

 private:
  struct Trusted {};
  Sql(Trusted, std::string_view text) : text_(text) {}

  std::string_view text_;
};

/// Bytes for a `bytea`; a plain string_view is a text.
struct BytesView {
  std::string_view bytes;
};

/// JSON text for a `json` or `jsonb`; the server checks it.
struct JsonView {
  std::string_view text;
};

/// One parameter of a statement, $1, $2, … Takes what it needs from the value when it is made. A
/// text that holds a zero byte cannot be stored by PostgreSQL and makes the statement fail with
/// kInvalidArgument; so does invalid UTF-8.
class Param {
 public:
  // NOLINTBEGIN: implicit on purpose, parameters are written {tenant, id, 5}.
  Param(std::nullptr_t) {}
  Param(std::string_view text) : Param(Kind::kText, std::string(text)) {}
  Param(const std::string& text) : Param(Kind::kText, text) {}
  Param(std::string&& text) : Param(Kind::kText, std::move(text)) {}
  Param(const char* text) : Param(Kind::kText, std::string(text)) {}
  Param(std::same_as<bool> auto value) : Param(Kind::kText, value ? "t" : "f") {}
  Param(std::signed_integral auto value) : Param(from_integer(value)) {}
  Param(std::unsigned_integral auto value)
    requires(!std::same_as<decltype(value), bool>)
      : Param(from_unsigned(value)) {}
  Param(double value);
  Param(BytesView bytes) : Param(Kind::kBytes, std::string(bytes.bytes)) {}
  Param(JsonView json) : Param(Kind::kText, std::string(json.text)) {}
  Param(const Uuid& value) : Param(Kind::kText, value.to_string()) {}
  Param(WallTime value);
  Param(std::span<const std::string> values);
  Param(std::span<const std::int64_t> values);
  Param(std::span<const double> values);
  Param(const std::vector<std::string>& values) : Param(std::span(values)) {}
  Param(const std::vector<std::int64_t>& values) : Param(std::span(values)) {}
  Param(const std::vector<double>& values) : Param(std::span(values)) {}
  template <typename Tag, typename Value>
  Param(const StrongId<Tag, Value>& id) : Param(id.value()) {}
  template <typename T>
  Param(const std::optional<T>& value) : Param(value ? Param(*value) : Param(nullptr)) {}
  // NOLINTEND

  enum class Kind : std::uint8_t { kNull, kText, kBytes };
  Kind kind() const { return kind_; }
  const std::string& encoded() const { return encoded_; }

 private:
  Param(Kind kind, std::string encoded) : kind_(kind), encoded_(std::move(encoded)) {}
  static Param from_integer(std::int64_t value);
  static Param from_unsigned(std::uint64_t value);

  Kind kind_ = Kind::kNull;
  std::string encoded_;
};

/// The parameters of a statement: `{a, b}`, or a vector made at run time.
class Params {
 public:
  Params() = default;
  Params(std::initializer_list<Param> params) : params_(params.begin(), params.size()) {}  // NOLINT
  Params(std::span<const Param> params) : params_(params) {}                               // NOLINT
  Params(const std::vector<Param>& params) : params_(params) {}                            // NOLINT

  std::span<const Param> span() const { return params_; }

 private:
  std::span<const Param> params_;  // a view: lives as long as the call that it is passed to
};

}  // namespace sluice::postgres
