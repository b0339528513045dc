// The retained index against a map, with a cursor on its way while it changes.

#include "choices.h"

#include <map>
#include <optional>
#include <set>

#include <sluice/base/random.h>
#include <sluice/mqtt/retained_index.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {
namespace {

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return last_ += 0x9E37'79B9'7F4A'7C15U; }

 private:
  std::uint64_t last_ = 0;
};

/// A cursor, and which of the topics it must still bring.
struct Journey {
  std::string filter;
  RetainedCursor cursor;
  std::set<std::string> due{};  // matched when it began, and untouched since
  std::set<std::string> visited{};

  Journey(RetainedIndex& index, std::string wanted, const std::map<std::string, MessagePtr>& model)
      : filter(std::move(wanted)), cursor(index, filter) {
    for (const auto& [topic, message] : model) {
      if (matches(filter, topic)) due.insert(topic);
    }
  }
  bool go(std::size_t steps, const std::map<std::string, MessagePtr>& model) {
    std::size_t count = 0;
    const bool has_more = cursor.next(steps, [&](const MessagePtr& message) {
      SLUICE_CHECK(++count <= steps);
      SLUICE_CHECK(model.at(message->topic) == message);
      SLUICE_CHECK(matches(filter, message->topic));
      SLUICE_CHECK(visited.insert(message->topic).second);
      due.erase(message->topic);
    });
    if (!has_more) SLUICE_CHECK(due.empty());
    return has_more;
  }
};

}  // namespace
}  // namespace sluice::mqtt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::mqtt;
  sluice::fuzz::Choices choices(data, size);
  CountingRandom random;
  RetainedIndex index({.max_messages = 64}, random);
  const std::size_t base = index.memory_bytes();
  std::map<std::string, MessagePtr> model;
  std::optional<Journey> journey;
  while (!choices.at_end()) {
    const unsigned what = choices.byte();
    if (what % 8 == 7) {
      if (!journey) journey.emplace(index, chosen_levels(choices, true), model);
      if (!journey->go(1 + what / 8 % 4, model)) journey.reset();
      continue;
    }
    if (what == 6) {
      // Removes one in three of what it comes by.
      index.sweep(5, [&](const Message& message) {
        if (message.topic.size() % 3 != 0) return false;
        if (journey) journey->due.erase(message.topic);
        SLUICE_CHECK(model.erase(message.topic) == 1);
        return true;
      });
      continue;
    }
    const std::string topic = chosen_levels(choices, false);
    if (journey) journey->due.erase(topic);
    if (what % 8 >= 4) {
      SLUICE_CHECK(index.clear(topic) == (model.erase(topic) == 1));
      continue;
    }
    auto message = std::make_shared<Message>();
    message->topic = topic;
    const bool is_known = model.contains(topic);
    const auto stored = index.set(topic, message, 1);
    if (stored == RetainedIndex::Stored::kFull) {
      SLUICE_CHECK(model.size() == 64 && !is_known);
      continue;
    }
    SLUICE_CHECK((stored == RetainedIndex::Stored::kReplaced) == is_known);
    model[topic] = std::move(message);
  }
  SLUICE_CHECK(index.size() == model.size() && index.bytes() == model.size());
  while (journey && journey->go(3, model)) {
  }
  journey.reset();
  for (const auto& [topic, message] : model) {
    SLUICE_CHECK(index.find(topic) == message);
    SLUICE_CHECK(index.clear(topic));
  }
  SLUICE_CHECK(index.memory_bytes() == base);
  return 0;
}
