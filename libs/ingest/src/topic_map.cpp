#include <sluice/ingest/topic_map.h>

#include <array>

#include <sluice/mqtt/topic.h>

namespace sluice::ingest {

namespace {

/// Some levels of a topic.
class LevelSpan {
 public:
  /// A view that is not set to nothing when it is made: a topic's worth of those costs more than
  /// splitting the topic.
  struct Piece {
    const char* data;
    std::size_t size;
  };
  LevelSpan(const Piece* first, std::size_t size) : first_(first), size_(size) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view operator[](std::size_t i) const { return {first_[i].data, first_[i].size}; }
  LevelSpan from(std::size_t first) const { return {first_ + first, size_ - first}; }
  /// As one piece of text; all of them must come from one topic.
  std::string_view text() const {
    if (empty()) return {};
    const Piece& last = first_[size_ - 1];
    return {first_->data, static_cast<std::size_t>(last.data + last.size - first_->data)};
  }

 private:
  const Piece* first_;
  std::size_t size_;
};

/// The levels of a topic, without an allocation. A meaning stands before the levels that an alias
/// leaves to the topic, hence twice the room.
class Levels {
 public:
  /// False when there are more than a topic may have.
  bool split(std::string_view topic) {
    const char* start = topic.data();
    const char* const end = start + topic.size();
    for (const char* at = start; at != end; ++at) {
      if (*at != '/') continue;
      if (size_ + 1 == mqtt::kMaxTopicLevels) return false;
      add({start, static_cast<std::size_t>(at - start)});
      start = at + 1;
    }
    add({start, static_cast<std::size_t>(end - start)});
    return true;
  }
  void add(std::string_view level) { levels_[size_++] = {level.data(), level.size()}; }
  std::size_t size() const { return size_; }
  std::string_view operator[](std::size_t i) const { return {levels_[i].data, levels_[i].size}; }
  LevelSpan all() const { return {levels_.data(), size_}; }

 private:
  std::array<LevelSpan::Piece, 2 * mqtt::kMaxTopicLevels> levels_;  // the first size_ are set
  std::size_t size_ = 0;
};

void read_shadow(LevelSpan below, TopicInfo& info) {
  if (below.size() >= 2 && below[0] == "name") {
    info.name = below[1];
    below = below.from(2);
  }
  if (below.empty()) return;
  info.action = below.text();
  const bool is_request = below.size() == 1 && (info.action == "get" || info.action == "update" ||
                                                info.action == "delete");
  info.kind = is_request ? TopicKind::kShadowRequest : TopicKind::kShadowAnswer;
}

void read_command(LevelSpan below, TopicInfo& info) {
  info.kind = TopicKind::kCommand;
  if (below.empty()) return;
  info.name = below[0];
  info.action = below.from(1).text();
  if (below.size() == 2 &&
      (below[1] == "accepted" || below[1] == "rejected" || below[1] == "result")) {
    info.kind = TopicKind::kCommandAnswer;
  }
}

/// What the levels below a device's root mean: the one place that knows.
void read_meaning(LevelSpan levels, TopicInfo& info) {
  if (levels.empty()) return;
  const std::string_view word = levels[0];
  const auto below = levels.from(1);
  if (word == "telemetry") {
    info.kind = TopicKind::kTelemetry;
    info.name = below.text();
  } else if (word == "events") {
    if (below.size() != 1 || below[0].empty()) return;
    info.kind = TopicKind::kEvent;
    info.name = below[0];
  } else if (word == "commands") {
    read_command(below, info);
  } else if (word == "shadow") {
    read_shadow(below, info);
  } else if (!below.empty() && (word == "jobs" || word == "certificates")) {
    info.kind = word == "jobs" ? TopicKind::kJobs : TopicKind::kCertificates;
    info.action = below.text();
  }
}

}  // namespace

std::string_view to_string(TopicKind kind) {
  switch (kind) {
    case TopicKind::kOther:
      return "other";
    case TopicKind::kTelemetry:
      return "telemetry";
    case TopicKind::kEvent:
      return "event";
    case TopicKind::kCommand:
      return "command";
    case TopicKind::kCommandAnswer:
      return "command_answer";
    case TopicKind::kShadowRequest:
      return "shadow_request";
    case TopicKind::kShadowAnswer:
      return "shadow_answer";
    case TopicKind::kJobs:
      return "jobs";
    case TopicKind::kCertificates:
      return "certificates";
  }
  return "other";
}

/// One template against one topic.
struct TopicMap::Match {
  bool fits = false;
  bool is_own = true;
  std::string_view tenant{};
  std::string_view device{};
  Part named_by = Part::kLiteral;

  Match(const Template& with, const Levels& topic, const DeviceNames* own) {
    const std::size_t size = with.levels.size();
    if (with.with_below ? topic.size() < size : topic.size() != size) return;
    for (std::size_t i = 0; i < size; ++i) {
      const Level& level = with.levels[i];
      if (level.part == Part::kLiteral) {
        if (topic[i] != level.text) return;
      } else if (topic[i].empty()) {
        return;
      }
    }
    fits = true;
    for (std::size_t i = 0; i < size; ++i) take(with.levels[i].part, topic[i], own);
  }

 private:
  void take(Part part, std::string_view text, const DeviceNames* own) {
    if (part == Part::kTenant) tenant = text;
    if (part == Part::kDevice || part == Part::kExternalId || part == Part::kThing) {
      device = text;
      named_by = part;
    }
    is_own = is_own && own != nullptr && is_name_of(part, text, *own);
  }
  static bool is_name_of(Part part, std::string_view text, const DeviceNames& own) {
    switch (part) {
      case Part::kLiteral:
        return true;
      case Part::kTenant:
        return text == own.tenant;
      case Part::kDevice:
        return text == own.device;
      case Part::kExternalId:
        return text == own.external_id;
      case Part::kFleet:
        return text == own.fleet;
      case Part::kClass:
        return text == own.device_class;
      case Part::kThing:
        return text == own.device || text == own.external_id;
    }
    return false;
  }
};

TopicMap::TopicMap() {
  auto built_in = compile(TopicMapSettings{});
  templates_ = std::move(built_in->templates_);  // a test holds that they compile
}

TopicInfo TopicMap::classify(const DeviceNames& own, std::string_view topic) const {
  TopicInfo info;
  Levels levels;
  if (!levels.split(topic)) return info;
  const auto read = [&](const Template& with, const Match& match) {
    info = {.is_own = match.is_own, .tenant = match.tenant, .device = match.device};
    const LevelSpan below = levels.all().from(with.levels.size());
    if (with.meaning.empty()) return read_meaning(below, info);
    Levels meant;
    meant.split(with.meaning);  // fits: compiled with that bound
    for (std::size_t i = 0; i < below.size(); ++i) meant.add(below[i]);
    read_meaning(meant.all(), info);
  };
  bool is_read = false;
  // The root also fits what an alias spells out below it ("data"): an alias that gives the topic a
  // meaning goes before none.
  for (const Template& with : templates_) {
    const Match match(with, levels, &own);
    if (!match.fits || (!with.names_device && !match.is_own)) continue;
    const bool is_better = !is_read || (match.is_own && !info.is_own) ||
                           (info.kind == TopicKind::kOther && match.is_own == info.is_own);
    if (!is_better) continue;
    read(with, match);
    is_read = true;
    if (info.is_own && info.kind != TopicKind::kOther) return info;
  }
  return info;
}

std::optional<TopicOwner> TopicMap::owner_of(std::string_view topic) const {
  Levels levels;
  if (!levels.split(topic)) return std::nullopt;
  for (const Template& with : templates_) {
    if (!with.names_device) continue;
    const Match match(with, levels, nullptr);
    if (!match.fits) continue;
    return TopicOwner{.tenant = match.tenant,
                      .device = match.device,
                      .may_be_external_id = match.named_by != Part::kDevice};
  }
  return std::nullopt;
}

}  // namespace sluice::ingest
