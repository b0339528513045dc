#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

#include <nlohmann/json_fwd.hpp>

namespace sluice::http {

// The bounds of JsonReader's getters. Outside of the class, where their defaults can be default
// arguments.
struct JsonTextRule {
  std::size_t min_size = 1;  // bytes
  std::size_t max_size = 1024;
  std::vector<std::string> one_of{};  // empty: anything
};
struct JsonIntegerRule {
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};
struct JsonNumberRule {
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
};
struct JsonListRule {
  std::size_t min_items = 0;
  std::size_t max_items = 100;
};

/// Takes typed members out of a JSON object and collects every fault with its JSON pointer, so that
/// a sender learns all of them at once. Each getter returns the value or a harmless stand-in and
/// goes on; only finish() decides. A member nobody asked for is a fault.
///
///   JsonReader reader(body);
///   NewDevice device{.id = DeviceId(reader.id("device_id")),
///                    .name = reader.text("name", {.max_size = 128}),
///                    .is_simulated = reader.optional_boolean("simulated").value_or(false)};
///   SLUICE_TRY(reader.finish());
///
/// Optional getters give nullopt for an absent member; null is a fault, except to is_null() and
/// in patches (see allow_null).
class JsonReader {
 public:
  using TextRule = JsonTextRule;
  using IntegerRule = JsonIntegerRule;
  using NumberRule = JsonNumberRule;
  using ListRule = JsonListRule;

  /// `object` must live as long as the reader. `pointer` is where it stands in the document.
  explicit JsonReader(const nlohmann::json& object, std::string pointer = "");
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  std::string text(std::string_view name, TextRule rule = {});
  std::optional<std::string> optional_text(std::string_view name, TextRule rule = {});
  /// An id as check_id() wants it.
  std::string id(std::string_view name);
  std::optional<std::string> optional_id(std::string_view name);
  /// Numbers with a fraction or outside 64 bits are faults, never rounded.
  std::int64_t integer(std::string_view name, IntegerRule rule = {});
  std::optional<std::int64_t> optional_integer(std::string_view name, IntegerRule rule = {});
  double number(std::string_view name, NumberRule rule = {});
  std::optional<double> optional_number(std::string_view name, NumberRule rule = {});
  bool boolean(std::string_view name);
  std::optional<bool> optional_boolean(std::string_view name);
  /// RFC 3339.
  WallTime time(std::string_view name);
  std::optional<WallTime> optional_time(std::string_view name);

  std::vector<std::string> text_list(std::string_view name, ListRule list = {}, TextRule item = {});
  std::optional<std::vector<std::string>> optional_text_list(std::string_view name,
                                                             ListRule list = {},
                                                             TextRule item = {});
  /// An object whose values are texts, such as labels; names obey `key`.
  std::optional<std::map<std::string, std::string>> optional_text_map(
      std::string_view name, ListRule list = {}, TextRule key = {},
      TextRule value = {.min_size = 0});

  using Nested = std::function<void(JsonReader&)>;
  /// Reads a nested object; its unknown members are faults too.
  void object(std::string_view name, const Nested& read);
  bool optional_object(std::string_view name, const Nested& read);
  /// Reads each object of an array.
  void objects(std::string_view name, ListRule rule, const Nested& read_each);

  /// Any value as it is, or null when absent; bounded by parse_json's depth alone.
  const nlohmann::json* any(std::string_view name);

  bool has(std::string_view name) const;
  /// Whether the member is there and null: "delete this" in a merge patch. Counts as asked for.
  bool is_null(std::string_view name);

  /// A fault of the caller's own finding.
  void fault(std::string_view name, std::string message);
  /// A fault of the object as a whole.
  void fault(std::string message);
  bool is_ok() const { return faults_->empty(); }

  /// All faults so far as one kInvalidArgument, unknown members among them. Called last, once.
  Result<> finish();

 private:
  JsonReader(const nlohmann::json& object, std::string pointer, std::vector<FieldFault>* faults);
  const nlohmann::json* take(std::string_view name, bool is_required);
  void check_unknown();
  std::string pointer_to(std::string_view name) const;
  void add_fault(std::string pointer, std::string message);
  std::optional<std::string> read_text(const nlohmann::json& value, const std::string& pointer,
                                       const TextRule& rule);
  std::optional<std::string> text_at(std::string_view name, bool is_required, const TextRule& rule);
  std::optional<std::string> id_at(std::string_view name, bool is_required);
  std::optional<std::int64_t> integer_at(std::string_view name, bool is_required,
                                         const IntegerRule& rule);
  std::optional<double> number_at(std::string_view name, bool is_required, const NumberRule& rule);
  std::optional<bool> boolean_at(std::string_view name, bool is_required);
  std::optional<WallTime> time_at(std::string_view name, bool is_required);
  std::optional<std::vector<std::string>> text_list_at(std::string_view name, bool is_required,
                                                       const ListRule& list, const TextRule& item);
  bool object_at(std::string_view name, bool is_required, const Nested& read);

  const nlohmann::json& object_;
  std::string pointer_;
  std::set<std::string, std::less<>> asked_;
  std::vector<FieldFault> own_faults_;
  std::vector<FieldFault>* faults_;  // of the outermost reader
};

/// Faults told at once; more help nobody and cost an attacker nothing.
inline constexpr std::size_t kMaxFaults = 50;

}  // namespace sluice::http
