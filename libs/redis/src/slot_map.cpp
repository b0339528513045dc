#include "slot_map.h"

#include <algorithm>
#include <charconv>

namespace sluice::redis {
namespace {

template <typename Integer>
bool read_integer(std::string_view text, Integer& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<Node> Node::parse(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  Node node;
  if (colon == std::string_view::npos || !read_integer(address.substr(colon + 1), node.port)) {
    return fail(ErrorCode::kInvalidArgument,
                std::format("\"{}\" is not an address like host:6379", address));
  }
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  node.host = host;
  return node;
}

Result<SlotMap> SlotMap::parse(const Reply& reply, const Node& asked) {
  auto refuse = [](std::string_view why) {
    return fail(ErrorCode::kDataLoss, std::format("CLUSTER SLOTS answered {}", why));
  };
  if (reply.kind() != Reply::Kind::kArray) return refuse("no array");
  SlotMap map;
  for (const Reply& range : reply.items()) {
    // [first slot, last slot, [host, port, id, …] of the master, replicas …]
    if (range.items().size() < 3 || range.items()[2].items().size() < 2)
      return refuse("a short range");
    const std::int64_t first = range.items()[0].integer();
    const std::int64_t last = range.items()[1].integer();
    const std::int64_t port = range.items()[2].items()[1].integer();
    if (first < 0 || first > last || last >= kSlotCount || port <= 0 || port > 65'535) {
      return refuse("numbers out of range");
    }
    const std::string& host = range.items()[2].items()[0].text();
    map.assign(static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last),
               {host.empty() ? asked.host : host, static_cast<std::uint16_t>(port)});
  }
  if (map.empty()) return refuse("no slots: the cluster is not formed yet");
  return map;
}

const Node* SlotMap::node_of(std::uint16_t slot) const {
  const std::uint16_t index = index_plus_one_[slot];
  return index == 0 ? nullptr : &nodes_[index - 1U];
}

void SlotMap::assign(std::uint16_t first, std::uint16_t last, const Node& node) {
  auto found = std::ranges::find(nodes_, node);
  if (found == nodes_.end()) found = nodes_.insert(nodes_.end(), node);
  const auto index = static_cast<std::uint16_t>(found - nodes_.begin() + 1);
  std::fill(index_plus_one_.begin() + first, index_plus_one_.begin() + last + 1, index);
}

std::optional<Redirect> Redirect::parse(std::string_view error_text, const Node& answered) {
  Redirect redirect;
  if (error_text.starts_with("ASK ")) {
    redirect.is_ask = true;
    error_text.remove_prefix(4);
  } else if (error_text.starts_with("MOVED ")) {
    error_text.remove_prefix(6);
  } else {
    return std::nullopt;
  }
  const std::size_t space = error_text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto node = Node::parse(error_text.substr(space + 1));
  if (!node || !read_integer(error_text.substr(0, space), redirect.slot) ||
      redirect.slot >= kSlotCount) {
    return std::nullopt;
  }
  redirect.node = *node;
  if (redirect.node.host.empty()) redirect.node.host = answered.host;
  return redirect;
}

}  // namespace sluice::redis
