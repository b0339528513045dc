#include <format>

#include <sluice/kafka/topics.h>

namespace sluice::kafka {
namespace {

std::string retention_text(const TopicSpec& topic) {
  if (topic.cleanup == Cleanup::kCompact) return "newest per key";
  if (topic.retention == kForever) return "for ever";
  return std::format("{} d",
                     std::chrono::duration_cast<std::chrono::days>(topic.retention).count());
}

}  // namespace

std::string topics_markdown(std::span<const TopicSpec> topics) {
  std::string table =
      "| topic | message | key | producers | consumers | partitions | kept |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const TopicSpec& topic : topics) {
    table += std::format("| `{}` | `{}` | {} | {} | {} | {} | {} |\n", topic.name, topic.message,
                         topic.key, topic.producers, topic.consumers, topic.partitions,
                         retention_text(topic));
  }
  return table;
}

}  // namespace sluice::kafka
