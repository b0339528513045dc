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

// How many times one socket is read before the others have their turn.
constexpr int kReadsPerTurn = 4;
// A refused client has this long to read why.
constexpr auto kLinger = 2s;
// How often a deadline looks whether the front may act again.
constexpr auto kFencedPause = 100ms;
// Output buffers up to this size are kept while a client is busy.
constexpr std::size_t kKeptOutput = 512;

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
                           std::string address)
    : loop_(loop),
      plan_(plan),
      stream_(std::move(stream)),
      address_(std::make_unique<std::string>(std::move(address))),
      stage_(plan.expects_proxy_header ? Stage::kProxy : Stage::kHandshake) {}

DeviceSocket::DeviceSocket(FrontLoop& loop, const ListenerPlan& plan, Moved moved)
    : loop_(loop),
      plan_(plan),
      stream_(std::move(moved.stream)),
      web_socket_(std::move(moved.web_socket)),
      unread_(std::move(moved.unread)),
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
  if ((events & EPOLLOUT) != 0 && client_ != nullptr && !client_->output().empty()) flush();
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
      loop_.find_psk(*this, stream_.psk_identity());
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

bool DeviceSocket::may_read() {
  if (stage_ == Stage::kClosing) return true;
  if (client_ == nullptr || moves_to_ >= 0) return false;
  if (stage_ == Stage::kUpgrade) return true;
  if (!client_->wants_bytes()) return false;
  if (paused_until_ > loop_.loop().now()) return false;
  if (client_->output().size() - sent_ >= plan_.max_output) return false;
  if (loop_.broker().is_full()) {
    // Once, however often it is asked: each entry would else make two of itself in each turn.
    if (!std::exchange(is_starved_, true)) loop_.add_starved(*this);
    return false;
  }
  return true;
}

void DeviceSocket::read() {
  for (int reads = 0; is_readable_ && may_read(); ++reads) {
    if (reads == kReadsPerTurn) return take_turn();
    const std::span<std::byte> buffer = loop_.buffer();
    const net::IoResult got = stream_.read(buffer);
    if (got.status == net::IoStatus::kWouldBlock) {
      is_readable_ = false;
      return;
    }
    if (got.status != net::IoStatus::kOk) {
      return close(got.status == net::IoStatus::kEnd ? "closed_by_client" : "connection_lost");
    }
    heard_at_ = loop_.loop().now();
    if (got.is_drained) is_readable_ = false;
    if (!feed(buffer.first(got.count))) return;
  }
}

bool DeviceSocket::feed(std::span<std::byte> bytes) {
  switch (stage_) {
    case Stage::kUpgrade:
      return feed_upgrade(bytes);
    case Stage::kMqtt:
      return web_socket_ ? feed_frames(bytes) : feed_mqtt(bytes);
    default:
      return true;  // closing: thrown away
  }
}

bool DeviceSocket::feed_upgrade(std::span<const std::byte> bytes) {
  unread_.insert(unread_.end(), bytes.begin(), bytes.end());
  const std::string_view text(reinterpret_cast<const char*>(unread_.data()), unread_.size());
  const auto outcome = web_socket_->upgrade->read(text, plan_.web_socket);
  if (outcome.state == net::WebSocketUpgrade::State::kNeedMore) return true;
  const auto answer = std::as_bytes(std::span(outcome.response));
  web_socket_->output.insert(web_socket_->output.end(), answer.begin(), answer.end());
  if (outcome.state == net::WebSocketUpgrade::State::kRefused) {
    close_soon();
    return false;
  }
  web_socket_->upgrade.reset();
  stage_ = Stage::kMqtt;
  send_soon();
  std::vector<std::byte> rest(unread_.begin() + static_cast<std::ptrdiff_t>(outcome.consumed),
                              unread_.end());
  unread_ = {};
  return feed_frames(rest);
}

bool DeviceSocket::feed_frames(std::span<std::byte> bytes) {
  using Kind = net::WebSocketDecoder::Kind;
  while (true) {
    const auto event = web_socket_->decoder.next(bytes);
    std::array<std::byte, net::kMaxServerHeader> header;
    const auto answer = [&](net::WebSocketOpcode opcode) {
      const std::size_t size = encode_websocket_header(opcode, event.payload.size(), header);
      auto& out = web_socket_->output;
      out.insert(out.end(), header.begin(), header.begin() + static_cast<std::ptrdiff_t>(size));
      out.insert(out.end(), event.payload.begin(), event.payload.end());
      send_soon();
    };
    switch (event.kind) {
      case Kind::kNeedMore:
        return true;
      case Kind::kData:
        if (!feed_mqtt(event.payload)) return false;
        break;
      case Kind::kPing:
        answer(net::WebSocketOpcode::kPong);
        break;
      case Kind::kPong:
        break;
      case Kind::kClose:
        answer(net::WebSocketOpcode::kClose);
        close_soon();
        return false;
      case Kind::kError: {
        const auto frame = net::encode_websocket_close(event.error);
        web_socket_->output.insert(web_socket_->output.end(), frame.begin(), frame.end());
        close_soon();
        return false;
      }
    }
  }
}

bool DeviceSocket::feed_mqtt(std::span<const std::byte> bytes) {
  const MonoTime now = loop_.loop().now();
  if (unread_.empty()) {
    const std::size_t taken = client_->on_bytes(now, bytes);
    const auto rest = bytes.subspan(taken);
    if (!rest.empty()) unread_.assign(rest.begin(), rest.end());
  } else {
    unread_.insert(unread_.end(), bytes.begin(), bytes.end());
    const std::size_t taken = client_->on_bytes(now, unread_);
    if (taken == unread_.size()) {
      unread_ = {};
    } else {
      unread_.erase(unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(taken));
    }
  }
  if (!client_->output().empty()) send_soon();  // what the protocol answers by itself
  if (counts_handshake_ && client_->is_accepted()) handshake_over();
  if (moves_to_ >= 0) {
    move_now();
    return false;
  }
  return stage_ == Stage::kMqtt && !closes_;
}

void DeviceSocket::read_again() {
  if (stage_ != Stage::kMqtt || client_ == nullptr) return;
  if (counts_handshake_ && client_->is_accepted()) handshake_over();
  take_turn();  // never from within the core's call
}

void DeviceSocket::take_turn() {
  if (!std::exchange(waits_for_turn_, true)) loop_.read_later(*this);
}

void DeviceSocket::feed_again() {
  is_starved_ = false;
  take_turn();
}

void DeviceSocket::resume() {
  waits_for_turn_ = false;
  if (is_closed()) return;
  if (moves_to_ >= 0 && !closes_) return move_now();
  if (stage_ == Stage::kMqtt && !unread_.empty() && may_read() && !feed_mqtt({})) return;
  read();
}

void DeviceSocket::pause_until(MonoTime time) {
  paused_until_ = std::max(paused_until_, time);
  loop_.loop().arm(deadline_,
                   std::max<std::chrono::nanoseconds>(paused_until_ - loop_.loop().now(), 1ms));
}

void DeviceSocket::handshake_over() {
  counts_handshake_ = false;
  loop_.admission().handshake_done();
  // From now on the deadline is the client's own keep-alive.
  const auto limit = client_ == nullptr ? 0ms : client_->keep_alive_limit();
  deadline_.cancel();
  if (limit > 0ms) loop_.loop().arm(deadline_, limit);
}

void DeviceSocket::on_deadline() {
  const MonoTime now = loop_.loop().now();
  if (stage_ == Stage::kClosing) return close("closed");
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

void DeviceSocket::send_soon() {
  if (std::exchange(wants_flush_, true)) return;
  loop_.flush_later(*this);
}

void DeviceSocket::close_soon() {
  closes_ = true;
  send_soon();
}

bool DeviceSocket::write_out(std::vector<std::byte>& bytes) {
  while (sent_ < bytes.size()) {
    const net::IoResult put = stream_.write(std::span(std::as_const(bytes)).subspan(sent_));
    if (put.status == net::IoStatus::kWouldBlock) return false;
    if (put.status != net::IoStatus::kOk) {
      close("connection_lost");
      return false;
    }
    sent_ += static_cast<std::uint32_t>(put.count);
  }
  sent_ = 0;
  bytes.clear();
  if (bytes.capacity() > kKeptOutput) std::vector<std::byte>().swap(bytes);
  return true;
}

void DeviceSocket::flush() {
  wants_flush_ = false;
  if (is_closed() || client_ == nullptr || stage_ == Stage::kClosing) return;
  if (client_->must_be_silent()) return close("fenced");
  mqtt::Output& output = client_->output();
  if (web_socket_) {
    std::vector<std::byte>& frames = web_socket_->output;
    if (!output.empty() && stage_ == Stage::kMqtt) {
      std::array<std::byte, net::kMaxServerHeader> header;
      const std::size_t size =
          encode_websocket_header(net::WebSocketOpcode::kBinary, output.size(), header);
      frames.insert(frames.end(), header.begin(),
                    header.begin() + static_cast<std::ptrdiff_t>(size));
      frames.insert(frames.end(), output.begin(), output.end());
      output.clear();
    }
    if (!write_out(frames)) return;
  } else if (!write_out(output)) {
    return;
  }
  if (closes_) return finish_closing();
  client_->on_writable(loop_.loop().now());
  if (is_readable_) take_turn();
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
