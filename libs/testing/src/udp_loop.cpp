#include "proxy_loop.h"

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace sluice::testing {
namespace {

constexpr std::size_t kMaxDatagram = 65'536;

/// One client address, with a socket of its own toward the target so that answers find back.
struct Client {
  SocketAddress address;
  Fd server;
  Link up;
  Link down;
};

class UdpLoop final : public ProxyLoop {
 public:
  using ProxyLoop::ProxyLoop;

  void reset_all() override { clients_.clear(); }
  void half_close_all(Direction /*direction*/) override {}  // datagrams have no end

 private:
  std::size_t open_connections() const override { return clients_.size(); }

  void pass_on(MonoTime now) override {
    for (auto& [key, client] : clients_) {
      pass_on(client.up, up_, now, stats_.bytes_up, [&](const std::string& datagram) {
        ::send(client.server.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
      });
      pass_on(client.down, down_, now, stats_.bytes_down, [&](const std::string& datagram) {
        ::sendto(listener_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL,
                 client.address.get(), client.address.size);
      });
    }
  }

  /// A failure to send is a loss like any other: UDP promises no more.
  template <typename Send>
  void pass_on(Link& link, FaultState& faults, MonoTime now, std::uint64_t& passed, Send send) {
    while (!faults.faults.frozen && !link.pieces.empty() && link.pieces.begin()->first <= now) {
      const std::size_t budget = faults.budget(now);
      if (budget == 0) return;
      const std::string& datagram = link.pieces.begin()->second;
      send(datagram);
      if (budget != FaultState::kUnlimited) faults.spend(datagram.size());
      passed += datagram.size();
      link.size -= datagram.size();
      link.pieces.erase(link.pieces.begin());
    }
  }

  void add_waits(MonoTime now) override {
    wait_for(up_.faults.frozen ? -1 : listener_.get(), POLLIN);
    for (auto& [key, client] : clients_) {
      wait_for(down_.faults.frozen ? -1 : client.server.get(), POLLIN);
      wake_for(client.up, up_, now);
      wake_for(client.down, down_, now);
    }
  }

  void take(MonoTime now) override {
    auto wait = std::next(waits_.begin());  // after the listener's
    for (auto& [key, client] : clients_) {
      if ((wait++)->revents != 0) take_answers(client, now);
    }
    // Last, since it may add clients, and the loop above goes by the order of what was waited for.
    if (waits_.front().revents != 0) take_requests(now);
  }

  void take_answers(Client& client, MonoTime now) {
    for (;;) {
      const ssize_t size = ::recv(client.server.get(), buffer_.data(), buffer_.size(), 0);
      if (size < 0) return;
      add(client.down, down_, {buffer_.data(), static_cast<std::size_t>(size)}, now);
    }
  }

  void take_requests(MonoTime now) {
    for (;;) {
      SocketAddress from;
      from.size = sizeof from.storage;
      const ssize_t size =
          ::recvfrom(listener_.get(), buffer_.data(), buffer_.size(), 0, from.get(), &from.size);
      if (size < 0) return;
      Client* client = client_of(from);
      if (client != nullptr)
        add(client->up, up_, {buffer_.data(), static_cast<std::size_t>(size)}, now);
    }
  }

  Client* client_of(const SocketAddress& from) {
    std::string key = from.key();
    if (const auto found = clients_.find(key); found != clients_.end()) return &found->second;
    Fd server(::socket(target_.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (is_refusing_ || clients_.size() >= options_.max_connections ||
        ::connect(server.get(), target_.get(), target_.size) != 0) {
      ++stats_.refused;
      return nullptr;
    }
    ++stats_.connections;
    Client& client = clients_[std::move(key)];
    client.address = from;
    client.server = std::move(server);
    return &client;
  }

  void add(Link& link, FaultState& faults, std::string_view datagram, MonoTime now) {
    if (faults.faults.dropped) {
      stats_.dropped_bytes += datagram.size();
    } else if (faults.draw_loss() || link.size + datagram.size() > options_.buffer_bytes) {
      ++stats_.lost_datagrams;
    } else {
      link.add(std::string(datagram), now + faults.draw_delay());
    }
  }

  std::unordered_map<std::string, Client> clients_;
  std::string buffer_ = std::string(kMaxDatagram, '\0');
};

}  // namespace

std::unique_ptr<ProxyLoop> make_udp_loop(const FaultProxy::Options& options, SocketAddress target,
                                         Fd listener, Fd wake) {
  return std::make_unique<UdpLoop>(options, target, std::move(listener), std::move(wake));
}

}  // namespace sluice::testing
