#include <sluice/mqtt/subscription_index.h>

#include "arena.h"
#include "handle_table.h"
#include "levels.h"

#include <array>

#include <sluice/base/check.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {

namespace {

using Handle = std::uint32_t;  // of an arena; 0: none

/// A beginning of filters. Only those of stored filters exist.
struct Node {
  Handle parent = 0;
  LevelNames::Id level = 0;  // 0: the level is a wildcard, or this is the root
  Handle plus = 0;           // the children for the wildcards; all others are in the table
  Handle hash = 0;
  Handle first_entry = 0;  // subscriptions that end here
  Handle first_group = 0;
  std::uint32_t children = 0;  // wildcards included
};

struct Entry {
  SubscriberId subscriber = 0;
  SubscriptionOptions options{};
  Handle node = 0;
  Handle group = 0;  // 0: not shared
  Handle next = 0;   // of the same node; the members of a group are in its SharedGroup
  Handle previous = 0;
};

struct Group {
  SharedGroup members{};
  std::uint32_t generation = 0;  // makes a GroupId unique though its handle is used again
  LevelNames::Id name = 0;
  Handle node = 0;
  Handle next = 0;  // of the same node
  Handle previous = 0;
};

/// A filter taken apart; `group` is empty when it is not shared.
struct Parsed {
  std::string_view filter;
  std::string_view group{};
};

std::optional<Parsed> parse(std::string_view filter, const TopicLimits& limits) {
  if (is_shared(filter)) {
    const auto shared = parse_shared(filter, limits);
    if (!shared) return std::nullopt;
    return Parsed{.filter = shared->filter, .group = shared->group};
  }
  if (!is_valid_filter(filter, limits)) return std::nullopt;
  return Parsed{.filter = filter};
}

/// Takes a thing out of its node's list.
template <typename T>
void unlink(Arena<T>& all, Handle& first, const T& one) {
  (one.previous != 0 ? all[one.previous].next : first) = one.next;
  if (one.next != 0) all[one.next].previous = one.previous;
}

template <typename T>
void link(Arena<T>& all, Handle& first, Handle handle) {
  all[handle].next = first;
  if (first != 0) all[first].previous = handle;
  first = handle;
}

/// The ids of a topic's levels, looked up as far as the trie asks for them.
class TopicLevels {
 public:
  TopicLevels(std::string_view topic, const LevelNames& names) : reader_(topic), names_(&names) {}

  /// Whether the topic ends before level `depth`, which is at most one behind those asked for.
  bool ends_at(std::size_t depth) const { return depth == count_ && reader_.at_end(); }
  /// 0: no subscription knows the text.
  LevelNames::Id id(std::size_t depth) {
    if (depth == count_) ids_[count_++] = names_->find(reader_.take());
    return ids_[depth];
  }

 private:
  std::array<LevelNames::Id, kWidestTopics.max_levels> ids_;
  std::size_t count_ = 0;
  LevelReader reader_;
  const LevelNames* names_;
};

}  // namespace

struct SubscriptionIndex::Impl {
  Impl(const Limits& wanted, Random& random) : limits(wanted), hash(random), names(hash) {}

  Handle child(Handle parent, LevelNames::Id level) const {
    return children.find(hash.of(parent, level), [&](Handle node) {
      return nodes[node].parent == parent && nodes[node].level == level;
    });
  }

  /// The node of a filter's end; 0: there is none.
  Handle find_node(std::string_view filter) const {
    Handle node = root;
    for (LevelReader levels(filter); !levels.at_end() && node != 0;) {
      const auto level = levels.take();
      if (level == "+") {
        node = nodes[node].plus;
      } else if (level == "#") {
        node = nodes[node].hash;
      } else {
        const auto id = names.find(level);
        node = id == 0 ? 0 : child(node, id);
      }
    }
    return node;
  }

  Handle make_node(std::string_view filter) {
    if (root == 0) root = nodes.acquire();
    Handle node = root;
    for (LevelReader levels(filter); !levels.at_end();) {
      node = child_or_new(node, levels.take());
    }
    return node;
  }

  Handle child_or_new(Handle parent, std::string_view level) {
    const bool is_plus = level == "+";
    const bool is_hash = level == "#";
    LevelNames::Id id = 0;
    if (is_plus || is_hash) {
      const Handle known = is_plus ? nodes[parent].plus : nodes[parent].hash;
      if (known != 0) return known;
    } else if ((id = names.find(level)) != 0) {
      if (const Handle known = child(parent, id)) return known;
    }
    const Handle made = nodes.acquire();
    nodes[made].parent = parent;
    ++nodes[parent].children;
    if (is_plus) {
      nodes[parent].plus = made;
    } else if (is_hash) {
      nodes[parent].hash = made;
    } else {
      id = names.acquire(level);
      nodes[made].level = id;
      children.insert(hash.of(parent, id), made);
    }
    return made;
  }

  /// Removes a node that nothing needs any more, and those above it of which that becomes true.
  void prune(Handle node) {
    while (nodes[node].children == 0 && nodes[node].first_entry == 0 &&
           nodes[node].first_group == 0) {
      const Handle parent = nodes[node].parent;
      if (parent == 0) {  // the root: the index is empty, so all of its memory may go
        clear();
        return;
      }
      if (nodes[parent].plus == node) {
        nodes[parent].plus = 0;
      } else if (nodes[parent].hash == node) {
        nodes[parent].hash = 0;
      } else {
        children.erase(hash.of(parent, nodes[node].level), node);
        names.release(nodes[node].level);
      }
      --nodes[parent].children;
      nodes.release(node);
      node = parent;
    }
  }

  void clear() {
    root = 0;
    nodes.clear();
    children.clear();
    entries.clear();
    entry_table.clear();
    groups.clear();
    group_table.clear();
    names.clear();
  }

  static std::uint64_t place(Handle node, Handle group) {
    return std::uint64_t{node} << 32 | group;
  }

  Handle find_entry(SubscriberId subscriber, Handle node, Handle group) const {
    return entry_table.find(hash.of(subscriber, place(node, group)), [&](Handle handle) {
      const Entry& entry = entries[handle];
      return entry.subscriber == subscriber && entry.node == node && entry.group == group;
    });
  }

  Handle find_group(Handle node, std::string_view name) const {
    const auto id = names.find(name);
    if (id == 0) return 0;
    return group_table.find(hash.of(node, id), [&](Handle group) {
      return groups[group].node == node && groups[group].name == id;
    });
  }

  /// The entry of a subscriber and filter; 0: there is none.
  Handle locate(SubscriberId subscriber, const Parsed& parsed) const {
    if (root == 0) return 0;
    const Handle node = find_node(parsed.filter);
    if (node == 0) return 0;
    const Handle group = parsed.group.empty() ? 0 : find_group(node, parsed.group);
    if (group == 0 && !parsed.group.empty()) return 0;
    return find_entry(subscriber, node, group);
  }

  Handle make_group(Handle node, std::string_view name) {
    const Handle made = groups.acquire();
    Group& group = groups[made];
    group.members = SharedGroup(limits.group_policy);
    group.generation = ++last_generation;
    group.name = names.acquire(name);
    group.node = node;
    link(groups, nodes[node].first_group, made);
    group_table.insert(hash.of(node, group.name), made);
    return made;
  }

  void insert(SubscriberId subscriber, const Parsed& parsed, const SubscriptionOptions& options) {
    const Handle node = make_node(parsed.filter);
    Handle group = 0;
    if (!parsed.group.empty()) {
      group = find_group(node, parsed.group);
      if (group == 0) group = make_group(node, parsed.group);
      groups[group].members.add(subscriber);
    }
    const Handle made = entries.acquire();
    Entry& entry = entries[made];
    entry.subscriber = subscriber;
    entry.options = options;
    entry.node = node;
    entry.group = group;
    if (group == 0) link(entries, nodes[node].first_entry, made);
    entry_table.insert(hash.of(subscriber, place(node, group)), made);
  }

  void erase(Handle handle) {
    const Entry entry = entries[handle];
    entry_table.erase(hash.of(entry.subscriber, place(entry.node, entry.group)), handle);
    if (entry.group == 0) {
      unlink(entries, nodes[entry.node].first_entry, entry);
    } else {
      leave_group(entry.group, entry.subscriber);
    }
    entries.release(handle);
    prune(entry.node);
  }

  void leave_group(Handle handle, SubscriberId member) {
    Group& group = groups[handle];
    group.members.remove(member);
    if (!group.members.empty()) return;
    group_table.erase(hash.of(group.node, group.name), handle);
    unlink(groups, nodes[group.node].first_group, group);
    names.release(group.name);
    groups.release(handle);
  }

  GroupId id_of(Handle group) const {
    return std::uint64_t{groups[group].generation} << 32 | group;
  }
  /// 0: it is gone.
  Handle handle_of(GroupId id) const {
    const auto handle = static_cast<Handle>(id);
    const bool is_here = handle != 0 && handle < groups.end() &&
                         groups[handle].generation == static_cast<std::uint32_t>(id >> 32);
    return is_here ? handle : 0;
  }

  void visit(const Node& node, Call call, void* context) const {
    for (Handle handle = node.first_entry; handle != 0; handle = entries[handle].next) {
      const Entry& entry = entries[handle];
      call(context, {.subscriber = entry.subscriber, .options = entry.options});
    }
    for (Handle handle = node.first_group; handle != 0; handle = groups[handle].next) {
      call(context, {.group = id_of(handle)});
    }
  }

  Limits limits;
  KeyedHash hash;
  LevelNames names;  // of levels and of groups
  Handle root = 0;
  Arena<Node> nodes;
  HandleTable children;  // parent and level -> node
  Arena<Entry> entries;
  HandleTable entry_table;  // subscriber, node and group -> entry
  Arena<Group> groups;
  HandleTable group_table;  // node and name -> group
  std::uint32_t last_generation = 0;
};

SubscriptionIndex::SubscriptionIndex(const Limits& limits, Random& random)
    : impl_(std::make_unique<Impl>(limits, random)) {}
SubscriptionIndex::~SubscriptionIndex() = default;
SubscriptionIndex::SubscriptionIndex(SubscriptionIndex&&) noexcept = default;
SubscriptionIndex& SubscriptionIndex::operator=(SubscriptionIndex&&) noexcept = default;

SubscriptionIndex::Added SubscriptionIndex::add(SubscriberId subscriber, std::string_view filter,
                                                const SubscriptionOptions& options) {
  SLUICE_CHECK(subscriber != 0);
  const auto parsed = parse(filter, impl_->limits.topics);
  if (!parsed) return Added::kInvalid;
  if (const Handle known = impl_->locate(subscriber, *parsed)) {
    impl_->entries[known].options = options;
    return Added::kReplaced;
  }
  if (size() >= impl_->limits.max_subscriptions) return Added::kFull;
  impl_->insert(subscriber, *parsed, options);
  return Added::kNew;
}

bool SubscriptionIndex::remove(SubscriberId subscriber, std::string_view filter) {
  const auto parsed = parse(filter, impl_->limits.topics);
  const Handle entry = parsed ? impl_->locate(subscriber, *parsed) : 0;
  if (entry == 0) return false;
  impl_->erase(entry);
  return true;
}

std::size_t SubscriptionIndex::remove_all(SubscriberId subscriber,
                                          std::span<const std::string> filters) {
  std::size_t removed = 0;
  for (const std::string& filter : filters) {
    if (remove(subscriber, filter)) ++removed;
  }
  return removed;
}

std::optional<SubscriptionOptions> SubscriptionIndex::find(SubscriberId subscriber,
                                                           std::string_view filter) const {
  const auto parsed = parse(filter, impl_->limits.topics);
  const Handle entry = parsed ? impl_->locate(subscriber, *parsed) : 0;
  if (entry == 0) return std::nullopt;
  return impl_->entries[entry].options;
}

std::size_t SubscriptionIndex::match_with(std::string_view topic, Call call, void* context) const {
  const Impl& in = *impl_;
  if (in.root == 0 || !is_valid_topic(topic, in.limits.topics)) return 0;
  struct Branch {
    Handle node;
    std::uint32_t depth;
  };
  // Depth first: of each level at most one branch waits, besides the one that is followed.
  std::array<Branch, kWidestTopics.max_levels + 2> waiting;
  std::size_t count = 0;
  waiting[count++] = {in.root, 0};
  const bool is_dollar = topic.front() == '$';
  TopicLevels levels(topic, in.names);
  std::size_t steps = 0;
  while (count > 0) {
    const auto [handle, depth] = waiting[--count];
    const Node& node = in.nodes[handle];
    ++steps;
    // A wildcard in the first level is not for topics that begin with $, [MQTT5-4.7.2-1].
    const bool may_be_wild = depth > 0 || !is_dollar;
    // `a/#` matches `a` as well.
    if (node.hash != 0 && may_be_wild) {
      in.visit(in.nodes[node.hash], call, context);
      ++steps;
    }
    if (levels.ends_at(depth)) {
      in.visit(node, call, context);
      continue;
    }
    const auto level = levels.id(depth);
    if (node.plus != 0 && may_be_wild) waiting[count++] = {node.plus, depth + 1};
    const Handle literal = level == 0 ? 0 : in.child(handle, level);
    if (literal != 0) waiting[count++] = {literal, depth + 1};
  }
  return steps;
}

SharedGroup* SubscriptionIndex::group(GroupId id) {
  const Handle handle = impl_->handle_of(id);
  return handle == 0 ? nullptr : &impl_->groups[handle].members;
}

std::optional<SubscriptionOptions> SubscriptionIndex::member_options(GroupId id,
                                                                     SubscriberId member) const {
  const Handle group = impl_->handle_of(id);
  if (group == 0) return std::nullopt;
  const Handle entry = impl_->find_entry(member, impl_->groups[group].node, group);
  if (entry == 0) return std::nullopt;
  return impl_->entries[entry].options;
}

GroupId SubscriptionIndex::find_group(std::string_view shared_filter) const {
  const auto parsed = parse(shared_filter, impl_->limits.topics);
  if (!parsed || parsed->group.empty() || impl_->root == 0) return kNoGroup;
  const Handle node = impl_->find_node(parsed->filter);
  const Handle group = node == 0 ? 0 : impl_->find_group(node, parsed->group);
  return group == 0 ? kNoGroup : impl_->id_of(group);
}

std::size_t SubscriptionIndex::size() const { return impl_->entries.in_use(); }

std::size_t SubscriptionIndex::groups() const { return impl_->groups.in_use(); }

std::size_t SubscriptionIndex::memory_bytes() const {
  std::size_t bytes = sizeof(Impl) + impl_->names.memory_bytes() + impl_->nodes.memory_bytes() +
                      impl_->children.memory_bytes() + impl_->entries.memory_bytes() +
                      impl_->entry_table.memory_bytes() + impl_->groups.memory_bytes() +
                      impl_->group_table.memory_bytes();
  for (Handle group = 1; group < impl_->groups.end(); ++group) {
    bytes += impl_->groups[group].members.memory_bytes();
  }
  return bytes;
}

}  // namespace sluice::mqtt
