#pragma once

#include <array>
#include <cstdint>
#include <format>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/redis/command.h>
#include <sluice/redis/reply.h>

namespace sluice::redis {

struct Node {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const Node&) const = default;
  std::string address() const { return std::format("{}:{}", host, port); }

  /// "host:port", an IPv6 host with or without brackets.
  static Result<Node> parse(std::string_view address);
};

/// Which node serves which slot.
class SlotMap {
 public:
  /// Reads the answer of CLUSTER SLOTS. Nodes that do not know their own name are `asked`.
  static Result<SlotMap> parse(const Reply& reply, const Node& asked);

  /// Null where no node serves the slot.
  const Node* node_of(std::uint16_t slot) const;
  void assign(std::uint16_t first, std::uint16_t last, const Node& node);
  bool empty() const { return nodes_.empty(); }
  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  std::vector<Node> nodes_;
  std::array<std::uint16_t, kSlotCount> index_plus_one_{};  // 0: nobody
};

/// The target of "MOVED 3999 10.0.0.1:6381" or "ASK 3999 10.0.0.1:6381".
struct Redirect {
  bool is_ask = false;
  std::uint16_t slot = 0;
  Node node;

  /// Null when the text is no redirection. An empty host means the node that answered.
  static std::optional<Redirect> parse(std::string_view error_text, const Node& answered);
};

}  // namespace sluice::redis
