#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/ingest/topic_map.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::front {

/// Whether every topic that matches `inner` also matches `outer`, both valid filters of MQTT.
bool covers(std::string_view outer, std::string_view inner);

/// May it be done? `reason` is stable, for reason strings and metric labels; empty when allowed.
struct AccessDecision {
  std::string_view reason{};
  /// Of an allowed subscription: the highest quality of service to grant.
  mqtt::Qos max_qos = mqtt::Qos::kExactlyOnce;

  bool is_allowed() const { return reason.empty(); }
};
inline constexpr std::string_view kTopicNotAllowed = "topic_not_allowed";
inline constexpr std::string_view kQosNotAllowed = "qos_not_allowed";
inline constexpr std::string_view kRetainNotAllowed = "retain_not_allowed";
inline constexpr std::string_view kFilterInvalid = "filter_invalid";

/// One permission, names already filled in.
struct AccessRule {
  enum class Action : std::uint8_t { kPublish, kSubscribe };
  Action action = Action::kPublish;
  std::string filter{};
  mqtt::Qos max_qos = mqtt::Qos::kExactlyOnce;
  bool may_retain = false;
};

/// What one device may publish, subscribe to and receive; what no rule allows is refused. Made from
/// the rules of its identity, and from the aliases of its topics: a rule on the platform's spelling
/// holds for the other spellings of the same. Topics that begin with '$' are closed but for
/// aliases. Immutable, thread-safe; checks do not allocate.
class AccessPolicy {
 public:
  /// Refuses everything.
  AccessPolicy() = default;

  struct Options {
    /// The device's own bound on what it publishes with, from its class.
    mqtt::Qos max_publish_qos = mqtt::Qos::kExactlyOnce;
    /// Opens '$…' to rules that name it: for conformance suites alone.
    bool opens_dollar_topics = false;
  };
  /// Fails on a rule that is no valid filter, and on more than kMaxRules.
  static Result<AccessPolicy> compile(std::span<const AccessRule> rules,
                                      std::span<const ingest::TopicMap::Spelling> spellings,
                                      const Options& options);

  AccessDecision may_publish(std::string_view topic, mqtt::Qos qos, bool retain) const;
  /// `filter` as the client sent it; of `$share/{group}/{filter}` the inner one is judged.
  AccessDecision may_subscribe(std::string_view filter) const;
  /// Whether a message on `topic` may be handed to the device: asked for every delivery, because
  /// rights may have changed since it subscribed or since the message was queued or retained.
  bool may_receive(std::string_view topic) const;

  std::size_t size() const { return publish_.size() + subscribe_.size(); }

  /// Far more than a policy that a person can overlook.
  static constexpr std::size_t kMaxRules = 256;

 private:
  /// A filter, cut where its wildcards begin: most checks end at comparing the literal part.
  struct Rule {
    std::string filter{};
    std::size_t literal_size = 0;  // up to the first wildcard level, its '/' not included
    enum class Tail : std::uint8_t { kNone, kBelow, kMixed };
    Tail tail = Tail::kNone;  // none: literal; kBelow: the rest is "/#"
    mqtt::Qos max_qos = mqtt::Qos::kExactlyOnce;
    bool may_retain = false;

    bool matches(std::string_view topic) const;
  };
  static Rule make_rule(std::string filter, const AccessRule& from);

  std::vector<Rule> publish_;
  std::vector<Rule> subscribe_;
};

}  // namespace sluice::front
