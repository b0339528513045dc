#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sluice/net/socket.h>
#include <sluice/testing/fault_proxy.h>

namespace sluice::front::testing {

/// A Kafka broker behind a fault proxy, for programs that cannot be told to go through one: clients
/// connect to the address that the broker gives of itself, so answers are rewritten to give the
/// proxy's. A broker on 127.0.0.1 alone.
class KafkaRelay {
 public:
  explicit KafkaRelay(const std::string& broker);
  ~KafkaRelay();
  KafkaRelay(const KafkaRelay&) = delete;
  KafkaRelay& operator=(const KafkaRelay&) = delete;

  std::string address() const { return proxy_->address(); }
  sluice::testing::FaultProxy& proxy() { return *proxy_; }

 private:
  void accept_all();
  void serve(int client);

  std::uint16_t broker_port_;
  net::Socket listener_;
  std::unique_ptr<sluice::testing::FaultProxy> proxy_;
  std::vector<int> fds_;  // of the acceptor, and after its end the destructor's
  std::vector<std::jthread> threads_;
  std::atomic<bool> is_stopping_{false};
  std::jthread acceptor_;
};

}  // namespace sluice::front::testing
