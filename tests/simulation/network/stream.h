#pragma once

#include "world/world.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::simulation {

/// A connection between a device and a front: bytes arrive in order, whole, some time later, in
/// pieces of any size, or not at all, since it may break. Different connections overtake each
/// other.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  enum class Side : std::uint8_t { kDevice, kFront };

  /// Who holds one end.
  class End {
   public:
    virtual void on_bytes(std::span<const std::byte> bytes) = 0;
    /// Nothing more comes and nothing more is taken. At most once.
    virtual void on_gone(std::string_view reason) = 0;

   protected:
    ~End() = default;
  };

  /// `number`: what the trace calls it.
  Stream(World& world, std::uint64_t number) : world_(world), number_(number) {}

  void attach(Side side, End& end) { at(side).end = &end; }
  /// Called with what a side sends, at the moment it does.
  void watch(Side side, std::function<void(std::span<const std::byte>)> watcher) {
    at(side).watcher = std::move(watcher);
  }

  void send(Side from, std::span<const std::byte> bytes);
  /// What was sent arrives before the other side hears of it; this side is told nothing any more.
  void close(Side from);
  /// What is under way is lost; each side hears of it some time later.
  void cut();
  /// The process on this side is gone, and its kernel says so to the other side.
  void drop(Side side);

  bool is_open() const { return is_open_; }

 private:
  struct Half {
    End* end = nullptr;
    std::function<void(std::span<const std::byte>)> watcher;
    MonoTime last_arrival{};  // at this side
  };

  Half& at(Side side) { return halves_[static_cast<std::size_t>(side)]; }
  static Side other(Side side) { return side == Side::kDevice ? Side::kFront : Side::kDevice; }
  void deliver(Side to, std::function<void()> action);
  void tell(Side side, std::string_view reason);

  World& world_;
  const std::uint64_t number_;
  std::array<Half, 2> halves_;
  bool is_open_ = true;  // neither cut nor closed
};
using StreamPtr = std::shared_ptr<Stream>;  // owned by both ends and by what is under way

}  // namespace sluice::simulation
