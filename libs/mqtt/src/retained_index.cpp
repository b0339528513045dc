#include <sluice/mqtt/retained_index.h>

#include "arena.h"
#include "handle_table.h"
#include "levels.h"

#include <utility>

#include <sluice/base/check.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {

namespace {

using Handle = std::uint32_t;  // of the arena; 0: none

/// A beginning of topics. Siblings are a list to whose front new ones go: what a cursor has behind
/// it grows, what it has before it only shrinks.
struct Node {
  MessagePtr message{};
  std::size_t bytes = 0;  // of the message, as set() was told
  Handle parent = 0;
  LevelNames::Id level = 0;
  Handle first_child = 0;
  Handle next = 0;
  Handle previous = 0;
  std::uint32_t cursors = 0;  // that stand here: keeps the node in its place
};

}  // namespace

struct RetainedIndex::Impl {
  Impl(const Limits& wanted, Random& random) : limits(wanted), hash(random), names(hash) {
    root = nodes.acquire();
  }

  Handle child(Handle parent, std::string_view level) const {
    const auto id = names.find(level);
    if (id == 0) return 0;
    return children.find(hash.of(parent, id), [&](Handle node) {
      return nodes[node].parent == parent && nodes[node].level == id;
    });
  }

  Handle find(std::string_view topic) const {
    Handle node = root;
    for (LevelReader levels(topic); !levels.at_end() && node != 0;) {
      node = child(node, levels.take());
    }
    return node;
  }

  Handle make(std::string_view topic) {
    Handle node = root;
    for (LevelReader levels(topic); !levels.at_end();) {
      const auto level = levels.take();
      const Handle known = child(node, level);
      node = known != 0 ? known : make_child(node, level);
    }
    return node;
  }

  Handle make_child(Handle parent, std::string_view level) {
    const Handle made = nodes.acquire();
    Node& node = nodes[made];
    node.parent = parent;
    node.level = names.acquire(level);
    node.next = nodes[parent].first_child;
    if (node.next != 0) nodes[node.next].previous = made;
    nodes[parent].first_child = made;
    children.insert(hash.of(parent, node.level), made);
    return made;
  }

  /// Removes a node that nothing needs any more, and those above it of which that becomes true.
  void prune(Handle handle) {
    while (handle != root) {
      const Node& node = nodes[handle];
      if (node.message || node.first_child != 0 || node.cursors > 0) return;
      (node.previous != 0 ? nodes[node.previous].next : nodes[node.parent].first_child) = node.next;
      if (node.next != 0) nodes[node.next].previous = node.previous;
      children.erase(hash.of(node.parent, node.level), handle);
      names.release(node.level);
      const Handle parent = node.parent;
      nodes.release(handle);
      handle = parent;
    }
    if (nodes[root].first_child == 0 && nodes[root].cursors == 0) clear();
  }

  /// Nothing is left: all memory may go.
  void clear() {
    nodes.clear();
    children.clear();
    names.clear();
    root = nodes.acquire();
    swept_to = 0;
  }

  void drop(Handle handle) {
    Node& node = nodes[handle];
    bytes -= node.bytes;
    --count;
    node.message.reset();
    node.bytes = 0;
    prune(handle);
  }

  Limits limits;
  KeyedHash hash;
  LevelNames names;
  Handle root = 0;
  Arena<Node> nodes;
  HandleTable children;  // parent and level -> node
  std::size_t count = 0;
  std::size_t bytes = 0;
  Handle swept_to = 0;
};

RetainedIndex::RetainedIndex(const Limits& limits, Random& random)
    : impl_(std::make_unique<Impl>(limits, random)) {}
RetainedIndex::~RetainedIndex() = default;

RetainedIndex::Stored RetainedIndex::set(std::string_view topic, MessagePtr message,
                                         std::size_t bytes) {
  SLUICE_CHECK(message);
  if (!is_valid_topic(topic, impl_->limits.topics)) return Stored::kInvalid;
  Impl& in = *impl_;
  const Handle known = in.find(topic);
  const bool is_new = known == 0 || !in.nodes[known].message;
  const std::size_t before = is_new ? 0 : in.nodes[known].bytes;
  if (is_new && in.count >= in.limits.max_messages) return Stored::kFull;
  if (bytes > in.limits.max_bytes || in.bytes - before > in.limits.max_bytes - bytes) {
    return Stored::kFull;
  }
  Node& node = in.nodes[known != 0 ? known : in.make(topic)];
  node.message = std::move(message);
  node.bytes = bytes;
  in.bytes += bytes - before;
  in.count += is_new ? 1 : 0;
  return is_new ? Stored::kNew : Stored::kReplaced;
}

bool RetainedIndex::clear(std::string_view topic) {
  const Handle node = impl_->find(topic);
  if (node == 0 || !impl_->nodes[node].message) return false;
  impl_->drop(node);
  return true;
}

MessagePtr RetainedIndex::find(std::string_view topic) const {
  const Handle node = impl_->find(topic);
  return node == 0 ? nullptr : impl_->nodes[node].message;
}

std::size_t RetainedIndex::sweep_with(std::size_t limit, Decide remove, void* context) {
  Impl& in = *impl_;
  std::size_t removed = 0;
  for (std::size_t step = 0; step < limit && in.count > 0; ++step) {
    if (++in.swept_to >= in.nodes.end()) in.swept_to = 1;
    const Node& node = in.nodes[in.swept_to];
    if (!node.message || !remove(context, *node.message)) continue;
    in.drop(in.swept_to);
    ++removed;
  }
  return removed;
}

std::size_t RetainedIndex::places() const { return impl_->nodes.end() - 1; }
std::size_t RetainedIndex::size() const { return impl_->count; }
std::size_t RetainedIndex::bytes() const { return impl_->bytes; }

std::size_t RetainedIndex::memory_bytes() const {
  return sizeof(Impl) + impl_->nodes.memory_bytes() + impl_->children.memory_bytes() +
         impl_->names.memory_bytes();
}

// A cursor is a place in the trie in depth-first order. That place is one node: where to go from
// there follows from the node's parents and siblings and from the filter. The node is kept from
// being removed, and so are those above it, which have a child.

RetainedCursor::RetainedCursor(RetainedIndex& index, std::string_view filter)
    : index_(is_valid_filter(filter, index.impl_->limits.topics) ? &index : nullptr),
      filter_(filter) {
  if (!index_) return;
  for (LevelReader levels(filter_); !levels.at_end();) {
    const auto level = levels.take();
    if (level == "#") {
      has_hash_ = true;
    } else {
      starts_[levels_++] = static_cast<std::uint32_t>(level.data() - filter_.data());
    }
  }
  // Where a level after the last would start: behind the slash that ends the last.
  const std::size_t after = has_hash_ ? filter_.size() - 1 : filter_.size() + 1;
  starts_[levels_] = static_cast<std::uint32_t>(after);
  node_ = index.impl_->root;
  ++index.impl_->nodes[node_].cursors;
}

RetainedCursor::~RetainedCursor() { end(); }

RetainedCursor::RetainedCursor(RetainedCursor&& other) noexcept
    : index_(std::exchange(other.index_, nullptr)),
      filter_(std::move(other.filter_)),
      starts_(other.starts_),
      levels_(other.levels_),
      has_hash_(other.has_hash_),
      depth_(other.depth_),
      node_(other.node_) {}

RetainedCursor& RetainedCursor::operator=(RetainedCursor&& other) noexcept {
  if (this == &other) return *this;
  end();
  index_ = std::exchange(other.index_, nullptr);
  filter_ = std::move(other.filter_);
  starts_ = other.starts_;
  levels_ = other.levels_;
  has_hash_ = other.has_hash_;
  depth_ = other.depth_;
  node_ = other.node_;
  return *this;
}

void RetainedCursor::end() {
  if (!index_) return;
  auto& in = *std::exchange(index_, nullptr)->impl_;
  --in.nodes[node_].cursors;
  in.prune(node_);
}

/// Whether any text matches at this level.
bool RetainedCursor::is_wild(std::size_t level) const {
  return level >= levels_ ? has_hash_ : level_text(level) == "+";
}

std::string_view RetainedCursor::level_text(std::size_t level) const {
  return std::string_view(filter_).substr(
      starts_[level], static_cast<std::size_t>(starts_[level + 1] - starts_[level] - 1));
}

bool RetainedCursor::next_with(std::size_t limit, Call call, void* context) {
  if (!index_) return false;
  auto& in = *index_->impl_;
  const Handle stood_at = node_;
  bool has_more = true;
  for (std::size_t step = 0; step < limit && has_more; ++step) {
    const Node& node = in.nodes[node_];
    // A wildcard in the first level is not for topics that begin with $, [MQTT5-4.7.2-1]. Each such
    // topic is a step of its own: there may be many.
    const bool is_hidden = depth_ == 1 && is_wild(0) && in.names.text(node.level).starts_with('$');
    const bool is_match = has_hash_ ? depth_ >= levels_ : depth_ == levels_;
    if (is_match && !is_hidden && node.message) call(context, node.message);
    Handle following = 0;
    if (!is_hidden) {
      if (is_wild(depth_)) {
        following = node.first_child;
      } else if (depth_ < levels_) {
        following = in.child(node_, level_text(depth_));
      }
    }
    if (following != 0) {
      node_ = following;
      ++depth_;
      continue;
    }
    has_more = go_to_sibling();
  }
  ++in.nodes[node_].cursors;
  --in.nodes[stood_at].cursors;
  in.prune(stood_at);
  if (!has_more) end();
  return has_more;
}

bool RetainedCursor::go_to_sibling() {
  const auto& nodes = index_->impl_->nodes;
  for (; depth_ > 0; --depth_) {
    const Node& node = nodes[node_];
    if (is_wild(depth_ - 1) && node.next != 0) {
      node_ = node.next;
      return true;
    }
    node_ = node.parent;
  }
  return false;
}

}  // namespace sluice::mqtt
