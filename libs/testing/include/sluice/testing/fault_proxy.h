#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::testing {

/// Which way bytes go through the proxy: up from the client to the target, or down to the client.
enum class Direction : std::uint8_t { kUp, kDown, kBoth };

/// How one direction misbehaves. All zero: it does not.
struct LinkFaults {
  /// Each piece of data comes this much later, plus up to `jitter` drawn uniformly. TCP keeps its
  /// order; datagrams overtake each other, as they do in the world.
  std::chrono::milliseconds delay{0};
  std::chrono::milliseconds jitter{0};
  /// Probability that a datagram vanishes. UDP alone: what TCP loses it sends again.
  double loss = 0;
  /// Bytes passed on per second, together for all connections of the proxy; 0 does not limit.
  std::uint64_t bytes_per_second = 0;
  /// Nothing is read or passed on, as in a partition or a stopped machine. What is on its way stays
  /// and goes on when thawed; the sender meets back-pressure.
  bool frozen = false;
  /// What arrives is read and thrown away, the end of the stream too: a request is done and its
  /// answer never comes. A TCP stream has a hole from then on, so end with reset().
  bool dropped = false;
};

/// A TCP or UDP proxy on a loopback port that can delay, lose, throttle, freeze, swallow, reset and
/// half-close, changed at any time from any thread. One thread of its own does all I/O.
///
///   auto proxy = FaultProxy::start({.target = "127.0.0.1:5432"});
///   (*proxy)->set_faults(Direction::kDown, {.delay = 500ms});
///   … connect to (*proxy)->address() …
class FaultProxy {
 public:
  enum class Protocol : std::uint8_t { kTcp, kUdp };

  struct Options {
    std::string target;                  // numeric host:port
    std::string listen = "127.0.0.1:0";  // numeric host:port
    Protocol protocol = Protocol::kTcp;
    std::uint64_t seed = 1;  // of loss and jitter
    /// Most bytes held per connection and direction; TCP stops reading there, UDP drops, counted.
    std::size_t buffer_bytes = std::size_t{256} << 10;
    /// Most connections (TCP) or client addresses (UDP) at once; more are refused, counted.
    std::size_t max_connections = 1024;
  };

  struct Stats {
    std::uint64_t connections = 0;       // accepted, or client addresses seen
    std::uint64_t open_connections = 0;  // now
    std::uint64_t refused = 0;           // over max_connections, refusing, or target unreachable
    std::uint64_t bytes_up = 0;          // passed on
    std::uint64_t bytes_down = 0;
    /// Times that bytes came down after some had gone up, of TCP: what a client that waits for each
    /// of its answers makes one of for each, and one that pipelines few for many.
    std::uint64_t round_trips = 0;
    std::uint64_t dropped_bytes = 0;   // swallowed by `dropped`
    std::uint64_t lost_datagrams = 0;  // by `loss` or a full buffer
  };

  static Result<std::unique_ptr<FaultProxy>> start(Options options);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  /// Where clients connect, port included.
  std::string address() const;
  std::uint16_t port() const;

  // Each of these has taken effect when it returns.

  void set_faults(Direction direction, const LinkFaults& faults);
  LinkFaults faults(Direction direction) const;  // kUp or kDown
  /// The one fault, leaving the others as they are.
  void freeze(Direction direction = Direction::kBoth);
  void thaw(Direction direction = Direction::kBoth);
  /// No faults and no refusing any more.
  void heal();
  /// Ends all present connections with RST on both sides.
  void reset();
  /// Tells the receivers of this direction that the stream has ended (FIN), after what was sent
  /// before; the other direction goes on. What the sender still sends is thrown away. TCP alone.
  void half_close(Direction direction);
  /// Resets new connections as soon as they arrive; present ones live on.
  void refuse_connections(bool refuse);

  Stats stats() const;

 private:
  class Impl;
  explicit FaultProxy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The line protocol of the sluice-fault-proxy program; gives the answer to print. Directions: up,
/// down, both.
///   delay both 100ms [20ms]   loss down 0.1   throttle up 16384   freeze [up]   thaw [up]
///   drop down on|off          half-close up   reset   refuse on|off   heal   stats
Result<std::string> run_fault_command(FaultProxy& proxy, std::string_view line);

}  // namespace sluice::testing
