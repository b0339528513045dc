#include <sluice/net/listener.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace sluice::net {
namespace {

// The kernel cuts the backlog to net.core.somaxconn, whatever that is set to: SYNs dropped because
// of a shorter one cost a second of waiting each.
constexpr int kBacklog = 1 << 16;

// Questions to a silent peer before it is given up, and the seconds between them.
constexpr int kKeepAliveProbes = 5;
constexpr int kKeepAliveInterval = 60;

Error cannot_listen(const std::string& address, const std::string& why) {
  return {ErrorCode::kUnavailable, "cannot listen on " + address + ": " + why};
}

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/// Inherited by the accepted sockets, which spares a call for each.
bool set_inherited_options(int fd, const ListenerOptions& options) {
  if (!set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)) return false;
  if (options.keep_alive.count() == 0) return true;
  return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(options.keep_alive.count())) &&
         set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval) &&
         set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

struct Bound {
  Socket socket;
  SocketAddress address;
};

Result<Bound> bind_socket(const ListenerOptions& options) {
  const std::string& address = options.address;
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return fail(cannot_listen(address, "must be host:port"));
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int outcome = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                  address.substr(colon + 1).c_str(), &hints, &found);
  if (outcome != 0) return fail(cannot_listen(address, gai_strerror(outcome)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);

  Bound out;
  out.socket = Socket(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = out.socket.fd();
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  const bool is_listening =
      fd >= 0 && set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
      (!options.reuse_port || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
      set_inherited_options(fd, options) && bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      listen(fd, kBacklog) == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
  if (!is_listening) return fail(cannot_listen(address, std::strerror(errno)));
  out.address = SocketAddress::of(name);
  return out;
}

}  // namespace

struct Listener::Metrics {
  Metrics(Registry& registry, const std::string& name)
      : accepted(outcome(registry, name, "accepted")),
        refused(outcome(registry, name, "refused")),
        failed(outcome(registry, name, "failed")),
        pauses(registry.counter(
            "sluice_net_accept_pauses_total",
            "Times that a listener stopped for want of descriptors or memory, by listener.",
            {{"listener", name}})) {}

  static Counter outcome(Registry& registry, const std::string& name, const char* outcome) {
    return registry.counter("sluice_net_accepts_total",
                            "Connections taken from the kernel, by listener and outcome.",
                            {{"listener", name}, {"outcome", outcome}});
  }

  Counter accepted;
  Counter refused;
  Counter failed;
  Counter pauses;
};

Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, ListenerOptions options,
                                                 Registry& registry, Admission admit,
                                                 Accepted accepted) {
  SLUICE_TRY_ASSIGN(auto bound, bind_socket(options));
  std::unique_ptr<Listener> made(new Listener(loop, std::move(options), registry,
                                              std::move(bound.socket), bound.address,
                                              std::move(admit), std::move(accepted)));
  SLUICE_TRY(loop.add(made->socket_.fd(), EPOLLIN, *made));
  made->is_watched_ = true;
  return made;
}

Listener::Listener(Loop& loop, ListenerOptions options, Registry& registry, Socket socket,
                   SocketAddress address, Admission admit, Accepted accepted)
    : loop_(loop),
      options_(std::move(options)),
      metrics_(std::make_unique<Metrics>(registry, options_.name)),
      socket_(std::move(socket)),
      address_(address),
      admit_(std::move(admit)),
      accepted_(std::move(accepted)) {}

Listener::~Listener() { close(); }

void Listener::on_ready(std::uint32_t) {
  // Level-triggered: what is left past the bound is reported again in the next turn.
  for (std::size_t i = 0; i < options_.accepts_per_turn && is_watched_; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    Socket socket(accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&from), &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.is_open()) {
      take(std::move(socket), SocketAddress::of(from));
    } else if (errno == EAGAIN) {
      return;
    } else {
      on_accept_error(errno);
    }
  }
}

void Listener::take(Socket socket, const SocketAddress& peer) {
  if (admit_ && !admit_(peer)) {
    metrics_->refused.add();
    socket.reset();
    return;
  }
  metrics_->accepted.add();
  // The kernel acknowledges a connection's first bytes when they are read, in a segment of its own
  // and at our expense. Our answer, which is on its way, says it, too; as soon as there has been
  // one the kernel waits for it by itself.
  set_option(socket.fd(), IPPROTO_TCP, TCP_QUICKACK, 0);
  accepted_(std::move(socket), peer);
}

void Listener::on_accept_error(int error) {
  // A connection that broke before it was accepted is its own affair; on to the next.
  metrics_->failed.add();
  if (error != EMFILE && error != ENFILE && error != ENOMEM && error != ENOBUFS) return;
  // Level-triggered, the loop would spin on a backlog that cannot be taken. Waiting beats keeping a
  // spare descriptor to accept and drop with: the backlog is where connections wait best.
  metrics_->pauses.add();
  unwatch();
  loop_.arm(resume_timer_, options_.exhausted_pause);
}

void Listener::watch() {
  if (is_watched_ || is_paused_ || !socket_.is_open()) return;
  if (loop_.add(socket_.fd(), EPOLLIN, *this)) {
    is_watched_ = true;
  } else {
    loop_.arm(resume_timer_, options_.exhausted_pause);
  }
}

void Listener::unwatch() {
  if (is_watched_) loop_.remove(socket_.fd());
  is_watched_ = false;
}

void Listener::pause() {
  is_paused_ = true;
  resume_timer_.cancel();
  unwatch();
}

void Listener::resume() {
  is_paused_ = false;
  watch();
}

void Listener::close() {
  resume_timer_.cancel();
  unwatch();
  socket_.close();
}

}  // namespace sluice::net
