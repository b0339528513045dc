#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/result.h>

namespace sluice {

/// A text that must not be shown: masked wherever settings are printed, wiped when it goes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&&) = default;
  /// By value and swapped, so that what was held before is wiped with the parameter.
  Secret& operator=(Secret other) noexcept {
    value_.swap(other.value_);
    return *this;
  }
  ~Secret();

  /// The value itself; the name is long so that a reader sees where a secret leaves its wrapper.
  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

/// A count of bytes, written with a unit in settings: "16KiB", "256MiB", "1GiB", "512".
struct Bytes {
  std::uint64_t count = 0;
  auto operator<=>(const Bytes&) const = default;
};
inline constexpr Bytes operator""_KiB(unsigned long long n) { return {n << 10}; }
inline constexpr Bytes operator""_MiB(unsigned long long n) { return {n << 20}; }

/// The one declared list of a service's settings. A config struct declares each of its fields once,
/// with default, bounds and help, in a member
///   void declare(Settings& settings) {
///     settings.integer("import_batch_rows", &import_batch_rows, 5000, {.min = 1, .max = 100'000},
///                      "Rows written to PostgreSQL in one COPY of a bulk import.");
///   }
/// and everything else comes from that list: reading the YAML file (key `import_batch_rows`) and
/// the environment (`SLUICE_IMPORT_BATCH_ROWS`, which wins), bounds, --help, --print-config,
/// /config, the README table, the JSON schema that the chart's values are checked with.
///
/// Fields get their default when they are declared, and must stay where they are as long as this
/// lives. Declaring a name twice, or a default that breaks its own bounds, is a bug and aborts. One
/// owner thread; once loaded, the const members may be called from any.
class Settings {
 public:
  struct IntegerBounds {
    std::int64_t min = 0;
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
  };
  struct NumberBounds {
    double min = 0;
    double max = std::numeric_limits<double>::max();
  };
  struct DurationBounds {
    std::chrono::milliseconds min{0};
    std::chrono::milliseconds max{std::chrono::hours(24 * 3650)};
  };
  struct BytesBounds {
    Bytes min{0};
    Bytes max{std::numeric_limits<std::uint64_t>::max()};
  };
  struct TextRule {
    bool required = false;              // must not be empty
    std::vector<std::string> one_of{};  // empty: anything
    std::size_t max_size = 4096;
  };

  void text(std::string_view name, std::string* field, std::string_view fallback, TextRule rule,
            std::string_view help);
  /// A YAML list, or texts separated by commas; so no item can hold a comma.
  void text_list(std::string_view name, std::vector<std::string>* field,
                 std::vector<std::string> fallback, TextRule rule, std::string_view help);
  void integer(std::string_view name, std::int64_t* field, std::int64_t fallback,
               IntegerBounds bounds, std::string_view help);
  void number(std::string_view name, double* field, double fallback, NumberBounds bounds,
              std::string_view help);
  void boolean(std::string_view name, bool* field, bool fallback, std::string_view help);
  /// A whole number and its unit: "250ms", "5s", "2m", "24h", "7d".
  void duration(std::string_view name, std::chrono::milliseconds* field,
                std::chrono::milliseconds fallback, DurationBounds bounds, std::string_view help);
  void bytes(std::string_view name, Bytes* field, Bytes fallback, BytesBounds bounds,
             std::string_view help);
  /// host:port or [IPv6]:port, where port 0 asks the system for a free one. May be empty where the
  /// default is: the listener is then off.
  void listen_address(std::string_view name, std::string* field, std::string_view fallback,
                      std::string_view help);
  /// Takes the *path* of a file and puts the file's content (last newline cut) into the field.
  /// Secrets come as files alone; there is no setting that holds one in the clear.
  void secret_file(std::string_view name, Secret* field, bool required, std::string_view help);

  /// A rule over several settings, checked after all are read: returns the faults it finds. Faults
  /// of settings that could not be read are left out, since they stand at their default by then.
  void rule(std::function<std::vector<FieldFault>()> check);

  /// Fills every declared field: default, then file, then environment. All faults come back at
  /// once, unknown keys and unknown SLUICE_ variables among them (SLUICE_TEST_, SLUICE_CRASH_,
  /// SLUICE_PLANTED_ and the toolchain's own are let through), each naming the setting, where it
  /// came from and the bound. Called once. Files are read as far as kMaxSettingsFileSize, flat,
  /// without aliases: nothing in them makes reading take long.
  Result<> load(std::string_view yaml_text, const std::map<std::string, std::string>& environment);

  /// The settings as read, one `name: value` a line as YAML, secrets as ******, with `# from …`.
  std::string print() const;
  /// The same as a JSON object, for /config: {"log_level": {"value": "info", "source": "default"},
  /// …}.
  std::string print_json() const;
  /// A JSON list of {"name", "environment", "type", "default", "bounds", "secret", "help"}.
  std::string list_json() const;
  /// Name, type, default, bounds and help of each, for --help.
  std::string help() const;
  /// The table for the service's README.
  std::string markdown() const;
  /// A JSON schema (2020-12, in words that draft 7 has too) of the YAML file, with
  /// additionalProperties false. Nothing is required in it, since everything may come from the
  /// environment instead.
  std::string json_schema() const;
  std::vector<std::string> names() const;

 private:
  enum class Origin { kDefault, kFile, kEnvironment };
  enum class Kind {
    kText,
    kTextList,
    kInteger,
    kNumber,
    kBoolean,
    kDuration,
    kBytes,
    kListen,
    kSecret
  };
  struct Setting {
    std::string name;
    Kind kind = Kind::kText;
    std::string fallback;  // as it would be written
    std::string bounds;    // for people: "10ms to 1m"; may be empty
    std::string help;
    std::string schema;  // JSON schema of the value, without default and description
    std::function<Result<>(std::string_view)> read;  // parses, checks, assigns
    std::function<std::string()> show;               // as it would be written
    Origin origin = Origin::kDefault;
  };
  class Loader;
  friend class Loader;

  void add(Setting setting);
  Setting* find(std::string_view name);
  static std::string_view type_name(Kind kind);
  static std::string_view origin_name(Origin origin);
  /// The value as a JSON text; secrets masked.
  static std::string to_json(Kind kind, const std::string& value);

  std::vector<Setting> settings_;
  std::vector<std::function<std::vector<FieldFault>()>> rules_;
};

/// Largest YAML file that is read: some hundred times what all settings of a service need.
inline constexpr std::size_t kMaxSettingsFileSize = 256 * 1024;
/// Largest secret that is read: a bundle of certificates fits, a wrong path to something big does
/// not.
inline constexpr std::size_t kMaxSecretSize = 64 * 1024;

/// The variable that sets a setting: "log_level" gives "SLUICE_LOG_LEVEL".
std::string environment_name(std::string_view setting);

/// The process' SLUICE_ variables. Call it before any thread could change the environment.
std::map<std::string, std::string> process_environment();

}  // namespace sluice
