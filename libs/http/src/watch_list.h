#pragma once

#include "connection.h"

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>

namespace sluice::http {

/// The connections that no worker has: what epoll is to tell about each, and when its time is up.
/// Belongs to the poller's thread; open() and add_source() come before that starts.
class WatchList {
 public:
  WatchList() = default;
  ~WatchList();
  WatchList(const WatchList&) = delete;
  WatchList& operator=(const WatchList&) = delete;

  Result<> open();

  /// A descriptor that ends wait() when it is readable, and stays its owner's.
  Result<> add_source(int fd);
  void remove_source(int fd);

  Connection& add(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> remove(Connection& connection);

  /// For one of the two; a new connection is listened to for reading.
  void listen_for(Connection& connection, bool is_writable);
  void set_deadline(Connection& connection, MonoTime deadline);

  /// Waits for something to happen, until the first deadline or for `longest`, and calls `on_event`
  /// for every connection that it happened to. It may remove any of them.
  void wait(std::chrono::milliseconds longest, MonoTime now,
            const std::function<void(Connection&)>& on_event);

  /// The one whose deadline passed first; null when none did.
  Connection* first_due(MonoTime now) const;
  /// The one that has been between two requests for longest; null when none is.
  Connection* longest_idle() const;
  std::vector<Connection*> all() const;
  bool is_empty() const { return connections_.empty(); }

 private:
  int epoll_ = -1;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::set<std::pair<MonoTime, Connection*>> deadlines_;
};

}  // namespace sluice::http
