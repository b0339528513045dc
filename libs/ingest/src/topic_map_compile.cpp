// From templates as text to those that topics are compared with; topic_map.cpp compares.
#include <algorithm>
#include <format>
#include <iterator>
#include <utility>

#include <sluice/ingest/topic_map.h>
#include <sluice/mqtt/topic.h>

namespace sluice::ingest {

namespace {

constexpr std::string_view kBelow = "/#";

std::vector<std::string> to_strings(std::string_view topic) {
  std::vector<std::string> levels;
  while (true) {
    const std::size_t slash = topic.find('/');
    levels.emplace_back(topic.substr(0, slash));
    if (slash == std::string_view::npos) return levels;
    topic.remove_prefix(slash + 1);
  }
}

}  // namespace

std::vector<TopicAlias> TopicMapSettings::default_aliases() {
  return {
      {"tenant/{tenant}/device/{device}/data/#", "telemetry/#"},
      {"{fleet}/devices/{device}/telemetry", "telemetry"},
      {"{fleet}/devices/{device}/commands", "commands"},
      // What AWS calls a thing is known by its maker's name as often as by ours.
      {"$aws/things/{thing}/shadow/#", "shadow/#"},
      {"$aws/things/{thing}/jobs/#", "jobs/#"},
      {"$aws/things/{thing}/certificates/#", "certificates/#"},
  };
}

Result<std::vector<TopicMap::Level>> TopicMap::compile_levels(std::string_view text) {
  if (!mqtt::is_valid_topic(text)) {
    return fail(ErrorCode::kInvalidArgument, std::format("'{}' is no topic", text));
  }
  static constexpr std::pair<std::string_view, Part> kParts[] = {
      {"{tenant}", Part::kTenant},
      {"{device}", Part::kDevice},
      {"{external_id}", Part::kExternalId},
      {"{fleet}", Part::kFleet},
      {"{class}", Part::kClass},
      {"{thing}", Part::kThing}};
  std::vector<Level> levels;
  for (std::string& level : to_strings(text)) {
    const auto* part = std::ranges::find(kParts, level, &std::pair<std::string_view, Part>::first);
    if (part != std::end(kParts)) {
      levels.push_back({.part = part->second});
    } else if (level.find_first_of("{}") != std::string::npos) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("'{}' has an unknown placeholder, or one that is not a whole level: "
                              "'{}'",
                              text, level));
    } else {
      levels.push_back({.text = std::move(level)});
    }
  }
  return levels;
}

Result<TopicMap::Template> TopicMap::compile_alias(const TopicAlias& alias) {
  std::string_view spelling = alias.spelling;
  std::string_view meaning = alias.meaning;
  Template compiled;
  compiled.with_below = spelling.ends_with(kBelow);
  if (compiled.with_below != meaning.ends_with(kBelow)) {
    return fail(
        ErrorCode::kInvalidArgument,
        std::format("'{}' and '{}': both must end with '/#', or neither", spelling, meaning));
  }
  if (compiled.with_below) {
    spelling.remove_suffix(kBelow.size());
    meaning.remove_suffix(kBelow.size());
  }
  SLUICE_TRY_ASSIGN(compiled.levels, compile_levels(spelling));
  if (!mqtt::is_valid_topic(meaning) || meaning.find_first_of("{}") != std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("'{}' must be literal levels", alias.meaning));
  }
  // What follows the first level of a meaning is told as one piece of text.
  if (compiled.with_below && meaning.contains('/')) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("'{}' must have one level before '/#'", alias.meaning));
  }
  compiled.meaning = meaning;
  return compiled;
}

Result<TopicMap> TopicMap::compile(const TopicMapSettings& settings) {
  std::vector<FieldFault> faults;
  std::vector<Template> templates;
  if (settings.aliases.size() > kMaxAliases) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("there are {} aliases, at most {} are taken", settings.aliases.size(),
                            kMaxAliases));
  }
  if (auto levels = compile_levels(settings.root)) {
    templates.push_back({.levels = *std::move(levels), .with_below = true});
    const auto has = [&](Part part) {
      return std::ranges::contains(templates.front().levels, part, &Level::part);
    };
    if (!has(Part::kDevice)) faults.push_back({"root", "must have the level {device}"});
    if (has(Part::kThing)) faults.push_back({"root", "{thing} is for aliases"});
    if (templates.front().levels.front().text.starts_with('$')) {
      faults.push_back({"root", "must not begin with '$'"});
    }
  } else {
    faults.push_back({"root", levels.error().message()});
  }
  for (std::size_t i = 0; i < settings.aliases.size(); ++i) {
    if (auto alias = compile_alias(settings.aliases[i])) {
      templates.push_back(*std::move(alias));
    } else {
      faults.push_back({std::format("aliases[{}]", i), alias.error().message()});
    }
  }
  if (!faults.empty()) {
    return fail(Error(ErrorCode::kInvalidArgument, "topic templates cannot be used")
                    .with_faults(std::move(faults)));
  }
  for (Template& compiled : templates) {
    compiled.names_device = std::ranges::any_of(compiled.levels, [](const Level& level) {
      return level.part == Part::kDevice || level.part == Part::kExternalId ||
             level.part == Part::kThing;
    });
  }
  return TopicMap(std::move(templates));
}

}  // namespace sluice::ingest
