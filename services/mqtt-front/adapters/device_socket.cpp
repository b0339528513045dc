#include "adapters/device_socket.h"

#include "adapters/front_loop.h"

#include <algorithm>
#include <array>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/net/proxy_protocol.h>

#include <sys/socket.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

// Whoever is to be closed has this long to read what was said before, and then why.
constexpr auto kLinger = 2s;
// How often a deadline looks whether the front may act again.
constexpr auto kFencedPause = 100ms;
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

DeviceSocket::DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, net::Stream stream,
                           std::string address, std::uint32_t serial)
    : loop_(loop),
      plan_(plan),
      stream_(std::move(stream)),
      address_(std::make_unique<std::string>(std::move(address))),
      serial_(serial),
      stage_(plan.expects_proxy_header ? Stage::kProxy : Stage::kHandshake) {}

DeviceSocket::DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, Moved moved,
                           std::uint32_t serial)
    : loop_(loop),
      plan_(plan),
      stream_(std::move(moved.stream)),
      web_socket_(std::move(moved.web_socket)),
      unread_(std::move(moved.unread)),
      serial_(serial),
      stage_(Stage::kMqtt),
      is_readable_(true) {
  client_ = &loop_.broker().arrive(*this, std::move(moved.departure));
}

DeviceSocket::~DeviceSocket() = default;

bool DeviceSocket::start() {
  if (!loop_.loop().add(stream_.fd(), net::kStreamEvents, *this)) return false;
  loop_.loop().arm(deadline_, plan_.connect_timeout);
  heard_at_ = loop_.loop().now();
  if (client_ != nullptr) loop_.broker().claim(*client_);
  return true;
}

void DeviceSocket::on_ready(std::uint32_t events) {
  if (loop_.is_fenced()) {
    // The kernel says it once only.
    if (!std::exchange(is_deferred_, true)) loop_.defer(*this);
    return;
  }
  if ((events & EPOLLOUT) != 0 && unsent() > 0) flush();
  if (is_closed()) return;
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
  if (header.source) *address_ = header.source->ip_text();
  stage_ = Stage::kHandshake;
  return true;
}

bool DeviceSocket::shake_hands() {
  switch (stream_.handshake()) {
    case net::Handshake::kWaiting:
      return false;
    case net::Handshake::kFailed:
      close("handshake");
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
  Peer peer{.address = std::move(*std::exchange(address_, nullptr))};
  if (stream_.is_tls()) {
    peer.psk_identity = stream_.psk_identity();  // first: taking either forgets both
    if (const auto identity = stream_.take_identity()) {
      peer.certificate = credential_of(*identity, plan_.tenant_uri_prefix);
    }
    loop_.loop().arm(deadline_, plan_.connect_timeout);
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
  paused_until_ = std::max(paused_until_, time);
  loop_.loop().arm(deadline_,
                   std::max<std::chrono::nanoseconds>(paused_until_ - loop_.loop().now(), 1ms));
}

void DeviceSocket::handshake_over() {
  counts_handshake_ = false;
  loop_.admission().handshake_done();
  if (closes_) return;
  // From now on the deadline is the client's own keep-alive.
  const auto limit = client_ == nullptr ? 0ms : client_->keep_alive_limit();
  deadline_.cancel();
  if (limit > 0ms) loop_.loop().arm(deadline_, limit);
}

void DeviceSocket::on_deadline() {
  const MonoTime now = loop_.loop().now();
  if (stage_ == Stage::kClosing || closes_) return close("closed");
  // What the client sent meanwhile has not been read: its silence is ours.
  if (loop_.is_fenced()) return loop_.loop().arm(deadline_, kFencedPause);
  if (client_ == nullptr || !client_->is_accepted()) return close("connect_timeout");
  const auto limit = client_->keep_alive_limit();
  if (paused_until_ != MonoTime{}) {
    if (paused_until_ > now) return loop_.loop().arm(deadline_, paused_until_ - now);
    paused_until_ = {};
    heard_at_ = now;  // it was we who did not listen
    resume();
    if (is_closed() || stage_ != Stage::kMqtt || paused_until_ != MonoTime{}) return;
  }
  if (limit <= 0ms) return;
  const bool we_do_not_listen = is_readable_ || !unread_.empty();
  if (!we_do_not_listen && now - heard_at_ >= limit) {
    client_->disconnect(mqtt::ReasonCode::kKeepAliveTimeout,
                        "nothing heard within 1.5 keep-alives");
    return;
  }
  client_->release_memory();
  loop_.loop().arm(deadline_,
                   we_do_not_listen ? std::chrono::nanoseconds(limit) : limit - (now - heard_at_));
}

void DeviceSocket::close_soon() {
  closes_ = true;
  // A peer that takes nothing would else keep what waits for it, and its place, for ever.
  loop_.loop().arm(deadline_, kLinger);
  send_soon();
}

void DeviceSocket::finish_closing() {
  // Bytes of the client that are never read would make the kernel reset the connection, and the
  // client might lose the reason with it.
  stream_.shutdown();
  stage_ = Stage::kClosing;
  unread_ = {};
  loop_.loop().arm(deadline_, kLinger);
  if (counts_handshake_) {
    counts_handshake_ = false;
    loop_.admission().handshake_done();
  }
  std::exchange(client_, nullptr)->on_gone("closed");
  is_readable_ = true;
  take_turn();
}

void DeviceSocket::close(std::string_view reason) {
  if (is_closed()) return;
  loop_.loop().remove(stream_.fd());
  const int fd = stream_.fd();
  deadline_.cancel();
  stream_.close();
  if (counts_handshake_) {
    counts_handshake_ = false;
    loop_.admission().handshake_done();
  }
  if (client_ != nullptr) std::exchange(client_, nullptr)->on_gone(reason);
  loop_.forget(*this, fd);
}

void DeviceSocket::move_soon(std::size_t loop) {
  moves_to_ = static_cast<std::int32_t>(loop);
  take_turn();
}

void DeviceSocket::move_now() {
  const auto target = static_cast<std::size_t>(moves_to_);
  const int fd = stream_.fd();
  loop_.loop().remove(fd);
  deadline_.cancel();
  Moved moved{.stream = std::move(stream_),
              .web_socket = std::move(web_socket_),
              .unread = std::move(unread_),
              .departure = loop_.broker().depart(*std::exchange(client_, nullptr))};
  loop_.move(target, plan_, std::move(moved));
  loop_.forget(*this, fd);
}

}  // namespace sluice::front
