#include <cstdlib>
#include <format>

#include <sluice/kafka/topic_admin.h>

namespace sluice::kafka {

namespace {

constexpr std::string_view kMinInsync = "min.insync.replicas";

/// Whether a setting that is not as it should be costs records.
bool is_harmful(std::string_view name, const std::string& is, const std::string& should_be) {
  if (name == "cleanup.policy") return true;
  return name == kMinInsync &&
         std::strtol(is.c_str(), nullptr, 10) < std::strtol(should_be.c_str(), nullptr, 10);
}

}  // namespace

TopicSpec as_configured(TopicSpec topic, const Config& config) {
  if (config.topic_partitions > 0 && topic.partitions == kUsualPartitions) {
    topic.partitions = static_cast<std::int32_t>(config.topic_partitions);
  }
  topic.replication = static_cast<std::int32_t>(config.topic_replication);
  topic.min_insync = static_cast<std::int32_t>(config.topic_min_insync);
  return topic;
}

std::map<std::string, std::string> config_of(const TopicSpec& topic) {
  std::map<std::string, std::string> config{{"cleanup.policy", "compact"}};
  if (topic.cleanup == Cleanup::kDelete) {
    config["cleanup.policy"] = "delete";
    config["retention.ms"] =
        topic.retention == kForever
            ? "-1"
            : std::format("{}", std::chrono::milliseconds(topic.retention).count());
  }
  if (topic.min_insync > 0) config[std::string(kMinInsync)] = std::format("{}", topic.min_insync);
  return config;
}

std::vector<TopicDifference> compare(const TopicSpec& wanted, const TopicDescription& found) {
  std::vector<TopicDifference> differences;
  if (found.partitions != wanted.partitions) {
    differences.push_back({.what = "partitions",
                           .is = std::format("{}", found.partitions),
                           .should_be = std::format("{}", wanted.partitions)});
  }
  if (found.replication < wanted.replication) {
    differences.push_back({.what = "replicas",
                           .is = std::format("{}", found.replication),
                           .should_be = std::format("{}", wanted.replication),
                           .is_harmful = true});
  }
  for (const auto& [name, value] : config_of(wanted)) {
    const auto is = found.config.find(name);
    if (is == found.config.end() || is->second == value) continue;
    differences.push_back({.what = name,
                           .is = is->second,
                           .should_be = value,
                           .is_harmful = is_harmful(name, is->second, value)});
  }
  return differences;
}

Result<> judge(std::span<const TopicSpec> wanted, std::span<const TopicDescription> found,
               const Logger& logger) {
  std::vector<FieldFault> faults;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (const TopicDifference& difference : compare(wanted[i], found[i])) {
      logger.warning("kafka_topic_differs", {{"topic", wanted[i].name},
                                             {"what", difference.what},
                                             {"is", difference.is},
                                             {"should_be", difference.should_be}});
      if (!difference.is_harmful) continue;
      faults.push_back(
          {std::string(wanted[i].name), std::format("{} is '{}', it must be '{}'", difference.what,
                                                    difference.is, difference.should_be)});
    }
  }
  if (faults.empty()) return {};
  std::string text = "kafka topics are not as they must be";
  for (const FieldFault& fault : faults)
    text += std::format("; {}: {}", fault.field, fault.message);
  return fail(
      Error(ErrorCode::kFailedPrecondition, std::move(text)).with_faults(std::move(faults)));
}

}  // namespace sluice::kafka
