#include <format>

#include <sluice/kafka/topic_admin.h>

namespace sluice::kafka {

std::map<std::string, std::string> config_of(const TopicSpec& topic) {
  if (topic.cleanup == Cleanup::kCompact) return {{"cleanup.policy", "compact"}};
  const std::string retention =
      topic.retention == kForever
          ? "-1"
          : std::format("{}", std::chrono::milliseconds(topic.retention).count());
  return {{"cleanup.policy", "delete"}, {"retention.ms", retention}};
}

std::vector<TopicDifference> compare(const TopicSpec& wanted, const TopicDescription& found) {
  std::vector<TopicDifference> differences;
  if (found.partitions != wanted.partitions) {
    differences.push_back({.what = "partitions",
                           .is = std::format("{}", found.partitions),
                           .should_be = std::format("{}", wanted.partitions)});
  }
  for (const auto& [name, value] : config_of(wanted)) {
    const auto is = found.config.find(name);
    if (is == found.config.end() || is->second == value) continue;
    differences.push_back({.what = name,
                           .is = is->second,
                           .should_be = value,
                           .is_harmful = name == "cleanup.policy"});
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
