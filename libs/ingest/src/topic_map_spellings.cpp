// From templates back to topics; topic_map.cpp reads them, topic_map_compile.cpp makes them.
#include <algorithm>
#include <format>
#include <span>

#include <sluice/base/ids.h>
#include <sluice/ingest/topic_map.h>

namespace sluice::ingest {

void TopicMap::append_topic(const DeviceNames& own, std::string_view suffix,
                            std::string& out) const {
  for (const Level& level : templates_.front().levels) {
    out += level.part == Part::kLiteral ? std::string_view(level.text) : name_of(level.part, own);
    out += '/';
  }
  out += suffix;
}

std::string_view TopicMap::name_of(Part part, const DeviceNames& own) {
  switch (part) {
    case Part::kLiteral:
      return {};
    case Part::kTenant:
      return own.tenant;
    case Part::kDevice:
    case Part::kThing:
      return own.device;
    case Part::kExternalId:
      return own.external_id;
    case Part::kFleet:
      return own.fleet;
    case Part::kClass:
      return own.device_class;
  }
  return {};
}

std::optional<std::string> TopicMap::fill(std::span<const Level> levels, const DeviceNames& own) {
  std::string out;
  for (const Level& level : levels) {
    if (&level != levels.data()) out += '/';
    if (level.part == Part::kLiteral) {
      out += level.text;
      continue;
    }
    const std::string_view name = name_of(level.part, own);
    // Only what is one literal level of a topic: a name never becomes a pattern.
    if (!check_id(name, "name")) return std::nullopt;
    out += name;
  }
  return out;
}

std::vector<TopicMap::Spelling> TopicMap::spellings_of(const DeviceNames& own) const {
  std::vector<Spelling> spellings;
  const auto root = fill(templates_.front().levels, own);
  if (!root) return spellings;
  DeviceNames by_external_id = own;
  by_external_id.device = own.external_id;
  for (const Template& with : std::span(templates_).subspan(1)) {
    const std::string canonical = std::format("{}/{}", *root, with.meaning);
    const auto add = [&](const DeviceNames& names) {
      if (auto alias = fill(with.levels, names)) {
        spellings.push_back({*std::move(alias), canonical, with.with_below});
      }
    };
    add(own);
    // {thing} stands for two names. A template with {device} beside it has no such second reading.
    const auto has = [&](Part part) {
      return std::ranges::contains(with.levels, part, &Level::part);
    };
    if (has(Part::kThing) && !has(Part::kDevice) && !own.external_id.empty()) add(by_external_id);
  }
  return spellings;
}

}  // namespace sluice::ingest
