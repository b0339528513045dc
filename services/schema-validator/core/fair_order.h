#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// The order in which the records of a batch are handled: deficit round robin over tenants. Each
/// tenant in turn has `quantum` bytes handled, so that the records of a quiet tenant wait for at
/// most a quantum of each other tenant's, and not for the whole batch of one that floods. Records
/// of one tenant, and so of one device, keep their order.
///
/// It can do no more than the batch has: what lies behind a flood in Kafka waits for it there,
/// which is what tenants' limits at the fronts are for.
class FairOrder {
 public:
  struct Item {
    std::string_view tenant{};
    std::size_t bytes = 0;
  };

  explicit FairOrder(std::size_t quantum) : quantum_(quantum) {}

  /// Indices of `items`, in the order to handle them; valid until the next call. One tenant costs a
  /// comparison per item; allocates only until it has seen the largest batch.
  std::span<const std::uint32_t> of(std::span<const Item> items);

 private:
  struct Queue {
    std::string_view tenant{};
    std::uint32_t first = 0;  // of its chain in next_
    std::uint32_t last = 0;
    std::size_t deficit = 0;
  };

  void group(std::span<const Item> items);
  Queue& queue_of(std::string_view tenant);

  const std::size_t quantum_;
  std::vector<Queue> queues_;
  std::vector<std::uint32_t> next_;  // the next item of the same tenant
  std::vector<std::uint32_t> order_;
};

}  // namespace sluice::validator
