#pragma once

#include "tally.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <vector>

#include <sluice/swarm/loop.h>

namespace sluice::load {

/// Clients that are connected alike and kept connected, or connected one after the other. Knows
/// how to get them all in; what they do then is for those who derive from it.
class Group : public swarm::Handler {
 public:
  struct Options {
    std::uint32_t first = 0;       // index of the first client
    std::uint32_t count = 0;       // clients
    std::uint32_t inflight = 256;  // connecting at a time
    bool churns = false;   // each leaves as soon as it is in: `count` connects in `inflight` places
    bool retries = false;  // a client that was refused comes again
    /// After this long. The default is less than any device waits, so that waiting hides little of
    /// how fast the server lets clients in.
    std::chrono::nanoseconds retry_after = std::chrono::milliseconds(100);
  };
  Group(swarm::Loop& loop, Tally& tally, const Options& options);
  ~Group() override;

  /// Opens what may be opened now. To be called after each poll of the loop: connections are
  /// opened here alone, so that one which fails at once cannot make the stack grow.
  void tick();
  /// Every client is in, has been in (churning), or has failed for good.
  bool is_settled() const { return under_way_ == 0 && waiting_.empty(); }
  std::uint32_t open_count() const { return open_; }

  /// Cuts all connections; the clients will come again.
  void drop_all();

 protected:
  virtual void on_ready(swarm::Connection& connection) { static_cast<void>(connection); }
  /// It was ready and is no more.
  virtual void on_lost(swarm::Connection& connection) { static_cast<void>(connection); }

  void on_open(swarm::Connection& connection) final;
  void on_frame(swarm::Connection& connection, const mqtt::Frame& frame) override;
  void on_end(swarm::Connection& connection, std::string_view reason) final;

  swarm::Loop& loop() { return *loop_; }
  const swarm::Loop& loop() const { return *loop_; }
  Tally& tally() { return *tally_; }
  std::vector<swarm::Connection>& places() { return places_; }

 private:
  struct Waiting {
    std::uint32_t place;
    MonoTime due;
  };

  swarm::Loop* loop_;
  Tally* tally_;
  Options options_;
  std::vector<swarm::Connection> places_;
  std::vector<bool> is_ready_;
  std::deque<Waiting> waiting_;  // earliest first
  std::uint32_t started_ = 0;    // clients given to places while churning
  std::uint32_t under_way_ = 0;
  std::uint32_t open_ = 0;
};

}  // namespace sluice::load
