#include "adapters/device_socket.h"

#include "adapters/front_loop.h"

#include <algorithm>
#include <array>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/base/planted_bug.h>
#include <sluice/net/proxy_protocol.h>

#include <sys/socket.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

// Whoever is to be closed has this long to read what was said before, and then why.
constexpr auto kLinger = 2s;
// How often a deadline looks whether the front may act again.
constexpr auto kFencedPause = 100ms;
// What stands behind a packet that has to wait is not read, a PINGREQ neither. No client is kept
// waiting longer than half of its keep-alive, or it would give the connection up and come back with
// a CONNECT, which costs more than its packet; nor is it less than this, or a short keep-alive
// would be a way around all limits.
constexpr auto kShortestPause = 5s;

device::v1::CertificateCredential credential_of(const net::PeerIdentity& identity,
                                                const std::string& tenant_uri_prefix) {
  device::v1::CertificateCredential credential;
  credential.set_common_name(identity.common_name);
  credential.set_serial(identity.serial_hex);
  credential.set_issuer(identity.issuer);
  credential.set_fingerprint_sha256(identity.fingerprint.data(), identity.fingerprint.size());
  credential.set_tenant_hint(identity.organization);
  if (tenant_uri_prefix.empty()) return credential;
  for (const std::string& uri : identity.uri_names) {
    if (uri.starts_with(tenant_uri_prefix)) {
      credential.set_tenant_hint(uri.substr(tenant_uri_prefix.size()));
      break;
    }
  }
  return credential;
}

}  // namespace

std::uint64_t group_of(const net::SocketAddress& address) {
  const std::size_t begin = address.is_v4() ? 8 : 0;
  std::uint64_t group = 0;
  for (std::size_t i = begin; i < begin + 8; ++i) group = group << 8 | address.ip[i];
  return group;
}

DeviceSocket::DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, net::Stream stream,
                           const net::SocketAddress& peer, std::uint32_t serial)
    : loop_(loop),
      plan_(plan),
      stream_(std::move(stream)),
      stranger_(loop.strangers().add({.fd = stream_.fd(),
                                      .address = peer.ip_text(),
                                      .group = group_of(peer),
                                      .connect_by = loop.loop().now() + plan.connect_timeout},
                                     loop.loop().now())),
      serial_(serial),
      stage_(plan.expects_proxy_header ? Stage::kProxy : Stage::kHandshake) {}

DeviceSocket::DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, Moved moved,
                           std::uint32_t serial)
    : loop_(loop),
      plan_(plan),
      stream_(std::move(moved.stream)),
      web_socket_(std::move(moved.web_socket)),
      unread_(std::move(moved.unread)),
      stranger_(loop.strangers().add(std::move(moved.stranger), loop.loop().now())),
      serial_(serial),
      stage_(Stage::kMqtt),
      is_readable_(true),
      has_untaken_(!unread_.empty()) {
  client_ = &loop_.broker().arrive(*this, std::move(moved.departure));
}

DeviceSocket::~DeviceSocket() = default;

bool DeviceSocket::start() {
  if (!loop_.loop().add(stream_.fd(), net::kStreamEvents, *this)) return false;
  heard_at_ = loop_.loop().now();
  loop_.loop().arm(*this,
                   std::max<std::chrono::nanoseconds>(stranger_->connect_by - heard_at_, 1ms));
  if (client_ != nullptr) loop_.broker().claim(*client_);
  return true;
}

void DeviceSocket::on_ready(std::uint32_t events) {
  // Said once, and mostly with the last bytes: a short read of those does not tell of the end.
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 &&
      !SLUICE_PLANTED_BUG("front_overlooks_the_end")) {
    peer_has_ended_ = true;
  }
  if (stranger_ != nullptr && (events & EPOLLIN) != 0) {
    loop_.strangers().heard(*stranger_, loop_.loop().now());
  }
  if (loop_.is_fenced()) {
    // The kernel says it once only.
    if (!std::exchange(is_deferred_, true)) loop_.defer(*this);
    return;
  }
  if ((events & EPOLLOUT) != 0 && unsent() > 0) flush();
  if (is_closed()) return;
  if (peer_has_ended_ && client_ != nullptr && client_->is_accepted() &&
      !SLUICE_PLANTED_BUG("front_lets_all_leave_at_once")) {
    if (!std::exchange(is_leaving_, true)) loop_.leave_later(*this);
    return;
  }
  is_readable_ = true;
  advance();
}

void DeviceSocket::leave() {
  is_leaving_ = false;
  is_readable_ = true;
  advance();
}

void DeviceSocket::catch_up() {
  is_deferred_ = false;
  if (!is_closed()) on_ready(EPOLLIN | EPOLLOUT);
}

void DeviceSocket::advance() {
  if (stage_ == Stage::kProxy && !take_proxy_header()) return;
  if (stage_ == Stage::kHandshake && !shake_hands()) return;
  read();
}

bool DeviceSocket::take_proxy_header() {
  // Looked at, then taken to the byte: what follows belongs to TLS.
  std::array<std::byte, net::kMaxProxyHeaderBytes> bytes;
  const ssize_t size = ::recv(stream_.fd(), bytes.data(), bytes.size(), MSG_PEEK);
  if (size < 0) return false;
  const auto header = net::read_proxy_header({bytes.data(), static_cast<std::size_t>(size)});
  if (header.state == net::ProxyHeader::State::kNeedMore && size > 0) return false;
  if (header.state != net::ProxyHeader::State::kComplete) {
    close("proxy_header");
    return false;
  }
  if (::recv(stream_.fd(), bytes.data(), header.consumed, 0) !=
      static_cast<ssize_t>(header.consumed)) {
    close("proxy_header");
    return false;
  }
  if (header.source) {
    loop_.strangers().move_to(*stranger_, header.source->ip_text(), group_of(*header.source));
  }
  stage_ = Stage::kHandshake;
  return true;
}

bool DeviceSocket::shake_hands() {
  switch (stream_.handshake()) {
    case net::Handshake::kWaiting:
      return false;
    case net::Handshake::kFailed:
      if (SLUICE_PLANTED_BUG("front_resets_behind_alerts")) {
        close("handshake");
      } else {
        hear_out();
      }
      return false;
    case net::Handshake::kNeedPsk:
      if (!std::exchange(has_asked_psk_, true)) loop_.find_psk(*this, stream_.psk_identity());
      return false;
    case net::Handshake::kDone:
      break;
  }
  if (plan_.is_web_socket) {
    web_socket_ = std::make_unique<WebSocketState>(plan_.web_socket.max_frame_bytes);
    stage_ = Stage::kUpgrade;
  } else {
    stage_ = Stage::kMqtt;
  }
  Peer peer{.address = std::move(stranger_->address)};
  if (stream_.is_tls()) {
    peer.psk_identity = stream_.psk_identity();  // first: taking either forgets both
    if (const auto identity = stream_.take_identity()) {
      peer.certificate = credential_of(*identity, plan_.tenant_uri_prefix);
    }
    if (SLUICE_PLANTED_BUG("front_is_patient_twice")) {
      loop_.loop().arm(*this, plan_.connect_timeout);
    }
  }
  client_ = &loop_.broker().open(*this, std::move(peer));
  return true;
}

void DeviceSocket::answer_psk(std::optional<Secret> key) {
  if (is_closed()) return;
  stream_.answer_psk(std::move(key));
  advance();
}

void DeviceSocket::pause_until(MonoTime time) {
  if (closes_) return;
  if (const auto limit = client_->keep_alive_limit(); limit > 0ms) {
    const std::chrono::milliseconds longest = std::max<std::chrono::milliseconds>(
        limit / 3, kShortestPause);  // of one and a half keep-alives
    time = std::min(time, loop_.loop().now() + longest);
  }
  paused_until_ = std::max(paused_until_, time);
  arm_deadline();
}

void DeviceSocket::handshake_over() {
  is_stranger_no_more();
  if (closes_) return;
  stream_.trust();
  // From now on the deadline is the client's own keep-alive.
  heard_at_ = loop_.loop().now();
  arm_deadline();
}

void DeviceSocket::is_stranger_no_more() {
  if (stranger_ == nullptr) return;
  loop_.strangers().remove(*std::exchange(stranger_, nullptr));
  loop_.admission().handshake_done();
}

/// For the keep-alive and the end of a pause, whichever is first.
void DeviceSocket::arm_deadline() {
  const MonoTime now = loop_.loop().now();
  MonoTime next = MonoTime::max();
  if (const auto limit = client_->keep_alive_limit(); limit > 0ms) {
    next = (do_we_listen() ? heard_at_ : now) + limit;
  }
  if (paused_until_ > now) next = std::min(next, paused_until_);
  if (next == MonoTime::max()) return Timer::cancel();
  loop_.loop().arm(*this, std::max<std::chrono::nanoseconds>(next - now, 1ms));
}

/// Whether everything that the client sent was read, so that its silence is its own.
bool DeviceSocket::do_we_listen() const { return !is_readable_ && !has_untaken_; }

void DeviceSocket::on_timer() {
  const MonoTime now = loop_.loop().now();
  if (stage_ == Stage::kClosing || closes_) return close("closed");
  // What the client sent meanwhile has not been read: its silence is ours.
  if (loop_.is_fenced()) return loop_.loop().arm(*this, kFencedPause);
  if (client_ == nullptr || !client_->is_accepted()) return close("connect_timeout");
  if (is_held_ && paused_until_ <= now) {
    heard_at_ = now;  // it was we who did not listen
    resume();
    if (is_closed() || stage_ != Stage::kMqtt || closes_) return;
  }
  const auto limit = client_->keep_alive_limit();
  if (limit > 0ms && do_we_listen() && now - heard_at_ >= limit) {
    client_->disconnect(mqtt::ReasonCode::kKeepAliveTimeout,
                        "nothing heard within 1.5 keep-alives");
    return;
  }
  client_->release_memory();
  arm_deadline();
}

void DeviceSocket::close_soon() {
  closes_ = true;
  // A peer that takes nothing would else keep what waits for it, and its place, for ever.
  if (!SLUICE_PLANTED_BUG("front_waits_for_the_deaf")) loop_.loop().arm(*this, kLinger);
  send_soon();
}

void DeviceSocket::finish_closing() {
  stream_.shutdown();
  unread_ = {};
  std::exchange(client_, nullptr)->on_gone("closed");
  hear_out();
}

/// Bytes of the client that are never read would make the kernel reset the connection, and the
/// client might lose the reason with it.
void DeviceSocket::hear_out() {
  stage_ = Stage::kClosing;
  loop_.loop().arm(*this, kLinger);
  is_stranger_no_more();
  is_readable_ = true;
  read();  // mostly it has left already
}

void DeviceSocket::close(std::string_view reason) {
  if (is_closed()) return;
  loop_.loop().remove(stream_.fd());
  const int fd = stream_.fd();
  Timer::cancel();
  stream_.close();
  is_stranger_no_more();
  if (client_ != nullptr) std::exchange(client_, nullptr)->on_gone(reason);
  loop_.forget(*this, fd);
}

void DeviceSocket::give_way() {
  // Without a farewell, for which the kernel would keep a place: it is as if it was refused.
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(stream_.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close("gave_way");
}

void DeviceSocket::move_soon(std::size_t loop) {
  moves_to_ = static_cast<std::int32_t>(loop);
  take_turn();
}

void DeviceSocket::move_now() {
  const auto target = static_cast<std::size_t>(moves_to_);
  const int fd = stream_.fd();
  loop_.loop().remove(fd);
  Timer::cancel();
  Moved moved{.stream = std::move(stream_),
              .web_socket = std::move(web_socket_),
              .unread = std::move(unread_),
              .departure = loop_.broker().depart(*std::exchange(client_, nullptr)),
              .stranger = loop_.strangers().remove(*std::exchange(stranger_, nullptr))};
  loop_.move(target, plan_, std::move(moved));
  loop_.forget(*this, fd);
}

}  // namespace sluice::front
