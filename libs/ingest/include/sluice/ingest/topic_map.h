#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::ingest {

/// What a topic is for, whichever of its spellings it is written in.
enum class TopicKind : std::uint8_t {
  kOther,          // no business of the platform's: ordinary publish and subscribe
  kTelemetry,      // telemetry, telemetry/{stream}
  kEvent,          // events/{type}
  kCommand,        // commands, and what lies below it but is no answer: towards the device
  kCommandAnswer,  // commands/{id}/accepted, rejected or result: from the device
  kShadowRequest,  // shadow/get, update or delete; shadow/name/{shadow}/…: from the device
  kShadowAnswer,   // what else lies below shadow/: towards the device
  kJobs,           // jobs/…, both ways
  kCertificates,   // certificates/…, both ways
};
/// "telemetry", "command_answer" and the like: for metric labels and logs.
std::string_view to_string(TopicKind kind);

/// The names that placeholders stand for. Views: the identity owns them.
struct DeviceNames {
  std::string_view tenant{};
  std::string_view device{};
  std::string_view external_id{};   // may be empty
  std::string_view fleet{};         // may be empty
  std::string_view device_class{};  // may be empty
};

/// What a topic says. Views into the topic, or, for what an alias implies, into the map.
struct TopicInfo {
  TopicKind kind = TopicKind::kOther;
  /// Every name in it is the identity's own. A topic that names no device is nobody's, unless its
  /// spelling means "the device of this connection".
  bool is_own = false;
  /// As the topic names them; empty where its spelling does not.
  std::string_view tenant{};
  std::string_view device{};  // device id, or external id where the spelling takes one
  /// Stream, type of the event, id of the command, name of the shadow; empty where there is none.
  std::string_view name{};
  /// "get", "update/accepted", "result": what follows the name. Jobs and certificates: all of it.
  std::string_view action{};
};

/// Whose topic it is, as far as the topic says.
struct TopicOwner {
  std::string_view tenant{};  // empty: the spelling names none, take that of whoever publishes
  std::string_view device{};
  bool may_be_external_id = false;  // `device` is a device id or an external id
};

/// Another way to write topics of the platform. Levels of `spelling` are literals or one of
/// {tenant}, {device}, {external_id}, {fleet}, {class} and {thing} (device id or external id);
/// `meaning` is what it stands for below the device's root. Both end with "/#" (this topic and all
/// below it; the meaning is then one level), or neither does.
struct TopicAlias {
  std::string spelling{};
  std::string meaning{};
};

struct TopicMapSettings {
  /// Where a device's topics begin. Must hold {device}.
  std::string root = "tenant/{tenant}/device/{device}";
  std::vector<TopicAlias> aliases = default_aliases();

  /// …/data, the fleet spelling, and the topics of AWS IoT's device SDKs.
  static std::vector<TopicAlias> default_aliases();
};

/// Knows every spelling of the platform's topics. Compiled once, immutable, thread-safe; classify()
/// and owner_of() do not allocate.
class TopicMap {
 public:
  /// The built-in settings.
  TopicMap();
  /// Fails with a fault for each template that cannot be used.
  static Result<TopicMap> compile(const TopicMapSettings& settings);

  /// What `topic` (valid, of at most mqtt::kMaxTopicLevels levels; anything else is kOther) means
  /// to a connection of `own`. Where two spellings fit, the one that makes it the device's own
  /// wins.
  TopicInfo classify(const DeviceNames& own, std::string_view topic) const;

  /// To whose session messages on `topic` go; nullopt: to whoever subscribed.
  std::optional<TopicOwner> owner_of(std::string_view topic) const;

  /// `suffix`, such as "commands", below the device's root.
  void append_topic(const DeviceNames& own, std::string_view suffix, std::string& out) const;

  /// The aliases that `own` can use, filled in: whoever may do something on `canonical` may do it
  /// on `alias`. Neither holds wildcards. Spellings with a name that the device has not are left
  /// out.
  struct Spelling {
    std::string alias{};
    std::string canonical{};
    bool with_below = false;  // and alias/x is canonical/x
  };
  std::vector<Spelling> spellings_of(const DeviceNames& own) const;

  /// Bounds on settings: enough for every scheme known, and small enough to try all per topic.
  static constexpr std::size_t kMaxAliases = 32;

 private:
  enum class Part : std::uint8_t {
    kLiteral,
    kTenant,
    kDevice,
    kExternalId,
    kFleet,
    kClass,
    kThing
  };
  struct Level {
    Part part = Part::kLiteral;
    std::string text{};
  };
  struct Template {
    std::vector<Level> levels{};
    std::string meaning{};  // what its levels stand for below the root; empty: it is the root
    bool with_below = false;
    bool names_device = false;
  };
  struct Match;
  explicit TopicMap(std::vector<Template> templates) : templates_(std::move(templates)) {}
  static Result<Template> compile_alias(const TopicAlias& alias);
  static Result<std::vector<Level>> compile_levels(std::string_view text);
  static std::string_view name_of(Part part, const DeviceNames& own);
  static std::optional<std::string> fill(std::span<const Level> levels, const DeviceNames& own);

  std::vector<Template> templates_;  // the root first
};

}  // namespace sluice::ingest
