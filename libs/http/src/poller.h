#pragma once

#include "certificate_renewal.h"
#include "connection.h"
#include "exchange.h"
#include "tls_context.h"
#include "watch_list.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <sluice/base/bounded_queue.h>
#include <sluice/base/result.h>

namespace sluice::http {

/// A request whose head is complete, on its way to a worker.
struct Job {
  std::unique_ptr<Connection> connection;
};

/// Owns the listener and every connection that no worker has. Its one thread accepts, sets up TLS,
/// reads heads, times out and closes, all without waiting for any single peer: whoever is idle or
/// slow costs a few hundred bytes here and no worker.
class Poller {
 public:
  /// `tls` may be null. Everything must outlive the poller.
  Poller(Core& core, ServerTls* tls, BoundedQueue<Job>& jobs);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Binds the configured address and tells it as it became.
  Result<std::string> listen();

  /// The thread's body; returns after end().
  void run();

  /// Back from a worker. Any thread.
  void give_back(std::unique_ptr<Connection> connection, Ending ending);
  /// Closes the listener and what no worker has; returns once no further job will come. Any thread.
  void stop_intake();
  /// Lets run() return, as soon as the last answers are out. Any thread.
  void end();

  /// Looks for a renewed certificate. Any thread.
  Result<bool> reload_certificates() { return renewal_.reload(); }

 private:
  struct Returned {
    std::unique_ptr<Connection> connection;
    Ending ending = Ending::kCut;
  };

  void wake() const;
  void accept_some();
  void drop_one_for_lack_of_descriptors();
  bool has_too_many(const std::string& ip) const;
  bool make_room();
  void adopt(int fd, const std::string& ip, int port);
  void take_returned();
  void close_watched();
  void on_event(Connection& connection);
  bool shake_hands(Connection& connection);
  bool read_more(Connection& connection);
  void linger(Connection& connection);
  void discard(Connection& connection);
  bool dispatch_if_complete(Connection& connection);
  void dispatch(Connection& connection);
  void refuse(Connection& connection, const Error& error, std::string_view reason);
  void expire();
  void end_in(Connection& connection, std::chrono::milliseconds time);
  void close(Connection& connection, std::string_view reason);
  void forget(std::unique_ptr<Connection> connection);

  Core& core_;
  ServerTls* const tls_;
  BoundedQueue<Job>& jobs_;

  CertificateRenewal renewal_;

  int wakeup_ = -1;
  int listener_ = -1;
  // To be given up when there are no others, see drop_one_for_lack_of_descriptors().
  int spare_ = -1;
  // The poller's thread alone from here ...
  WatchList watched_;
  std::int64_t open_ = 0;  // watched or with a worker
  // By rate_key_of_ip(); never more entries than connections.
  std::unordered_map<std::string, std::int64_t> open_by_address_;
  MonoTime next_reload_{};
  // ... to here; the rest is shared.
  std::mutex mutex_;
  std::condition_variable intake_stopped_;
  std::vector<Returned> returned_;
  bool is_stopping_ = false;
  bool is_stopped_ = false;  // no further job will come
  bool is_ending_ = false;
};

}  // namespace sluice::http
