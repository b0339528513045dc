// What moves bytes between the kernel and the core; the rest of DeviceSocket is its life.
#include "adapters/device_socket.h"
#include "adapters/front_loop.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include <sluice/base/planted_bug.h>
#include <sluice/mqtt/decoder.h>

namespace sluice::front {
namespace {

// How many times one socket is read before the others have their turn.
constexpr int kReadsPerTurn = 4;
// Output buffers up to this size are kept while a client is busy.
constexpr std::size_t kKeptOutput = 512;
// Read at once before CONNACK, of whom nothing is known yet: what comes behind a CONNECT waits in
// the kernel, and few are longer than this. And while something may not go in, behind which the
// rest of what was read would wait here.
constexpr std::size_t kSmallRead = 2 * 1024;
// Waiting to be sent: an upgrade's answer, a CONNACK and some pongs.
constexpr std::size_t kMaxFirstOutput = 4 * 1024;
// What waits for the rest of an upgrade or a CONNECT grows by so much, where a vector would double.
constexpr std::size_t kFirstStep = 1024;

void append_sparingly(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  const std::size_t size = to.size() + bytes.size();
  if (size > to.capacity()) to.reserve((size + kFirstStep - 1) / kFirstStep * kFirstStep);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

mqtt::PacketType type_of(std::byte first) { return static_cast<mqtt::PacketType>(first >> 4); }

/// What the rates of a device and its tenant count.
bool is_metered(std::byte first) {
  using mqtt::PacketType;
  const PacketType type = type_of(first);
  return type == PacketType::kPublish || type == PacketType::kSubscribe ||
         type == PacketType::kUnsubscribe;
}

/// Of the packet at the front; what is not complete, or none, the client sees for itself.
std::size_t first_packet(std::span<const std::byte> bytes) {
  const auto frame = mqtt::next_frame(bytes, mqtt::kMaxRemainingLength);
  return frame && *frame ? (*frame)->size : bytes.size();
}

std::size_t before_metered(std::span<const std::byte> bytes) {
  std::size_t size = 0;
  while (size < bytes.size() && !is_metered(bytes[size])) size += first_packet(bytes.subspan(size));
  return size;
}

}  // namespace

void WebSocketState::add_frame(net::WebSocketOpcode opcode, std::span<const std::byte> payload) {
  std::array<std::byte, net::kMaxServerHeader> header;
  const std::size_t size = encode_websocket_header(opcode, payload.size(), header);
  output.insert(output.end(), header.begin(), header.begin() + static_cast<std::ptrdiff_t>(size));
  output.insert(output.end(), payload.begin(), payload.end());
}

/// What the kernel has not taken yet.
std::size_t DeviceSocket::unsent() const {
  if (client_ == nullptr) return 0;
  if (!web_socket_) return client_->output().size() - sent_;
  // As it was once: what was framed and half sent is forgotten.
  if (SLUICE_PLANTED_BUG("front_forgets_half_sent_frames")) return client_->output().size();
  return client_->output().size() + web_socket_->output.size() - sent_;
}

void WebSocketState::add_packets(std::span<const std::byte> packets) {
  while (!packets.empty()) {
    const auto packet = mqtt::next_frame(packets, mqtt::kMaxRemainingLength).value().value();
    add_frame(net::WebSocketOpcode::kBinary, packets.first(packet.size));
    packets = packets.subspan(packet.size);
  }
}

void DeviceSocket::prefetch(PrefetchStep step) const {
  if (client_ != nullptr) client_->prefetch_for_bytes(step);
}

void DeviceSocket::prefetch_for_flush(PrefetchStep step) const {
  if (client_ != nullptr) client_->prefetch_for_answer(step);
}

bool DeviceSocket::may_feed() const {
  return client_ != nullptr && moves_to_ < 0 && client_->wants_bytes() &&
         unsent() < plan_.max_output;
}

bool DeviceSocket::may_read() const {
  if (stage_ == Stage::kClosing) return true;
  if (stage_ == Stage::kUpgrade) return client_ != nullptr;
  return may_feed() && !is_held_;
}

std::size_t DeviceSocket::read_size() const {
  const std::size_t whole = loop_.buffer().size();
  const bool is_stranger = client_ != nullptr && !client_->is_accepted() &&
                           !SLUICE_PLANTED_BUG("front_trusts_strangers");
  const bool holds = paused_until_ != MonoTime{} || loop_.broker().is_full();
  return is_stranger || holds ? std::min(kSmallRead, whole) : whole;
}

void DeviceSocket::read() {
  for (int reads = 0; is_readable_ && may_read(); ++reads) {
    if (reads == kReadsPerTurn) return take_turn();
    const std::span<std::byte> buffer = loop_.buffer().first(read_size());
    const net::IoResult got =
        stage_ == Stage::kClosing ? stream_.discard(buffer) : stream_.read(buffer);
    if (got.status == net::IoStatus::kWouldBlock) {
      is_readable_ = false;
      return;
    }
    if (got.status != net::IoStatus::kOk) {
      return close(got.status == net::IoStatus::kEnd ? "closed_by_client" : "connection_lost");
    }
    heard_at_ = loop_.loop().now();
    if (got.is_drained && !peer_has_ended_) is_readable_ = false;
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
  append_sparingly(unread_, bytes);
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
    switch (event.kind) {
      case Kind::kNeedMore:
        return true;
      case Kind::kData:
        if (!feed_mqtt(event.payload)) return false;
        break;
      case Kind::kPing:
        web_socket_->add_frame(net::WebSocketOpcode::kPong, event.payload);
        if (!client_->is_accepted() && unsent() > kMaxFirstOutput &&
            !SLUICE_PLANTED_BUG("front_trusts_strangers")) {
          close("pings_before_connect");
          return false;
        }
        send_soon();
        break;
      case Kind::kPong:
        break;
      case Kind::kClose:
        web_socket_->add_frame(net::WebSocketOpcode::kClose, event.payload);
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
  if (unread_.empty()) {
    const std::size_t taken = offer(bytes);
    const auto rest = bytes.subspan(taken);
    if (!rest.empty()) unread_.assign(rest.begin(), rest.end());
  } else {
    if (client_->is_accepted() || SLUICE_PLANTED_BUG("front_trusts_strangers")) {
      unread_.insert(unread_.end(), bytes.begin(), bytes.end());
    } else {
      append_sparingly(unread_, bytes);
    }
    const std::size_t taken = offer(unread_);
    if (taken == unread_.size()) {
      unread_ = {};
    } else {
      unread_.erase(unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(taken));
    }
  }
  if (!client_->output().empty()) send_soon();  // what the protocol answers by itself
  if (stranger_ != nullptr && client_->is_accepted()) handshake_over();
  if (moves_to_ >= 0) {
    move_now();
    return false;
  }
  return stage_ == Stage::kMqtt && !closes_;
}

/// How much of them was taken.
std::size_t DeviceSocket::offer(std::span<const std::byte> bytes) {
  is_held_ = false;
  const bool holds = paused_until_ != MonoTime{} || loop_.broker().is_full();
  const std::size_t taken =
      holds ? offer_what_may_go_in(bytes) : client_->on_bytes(loop_.loop().now(), bytes);
  has_untaken_ = taken < bytes.size() && (is_held_ || !client_->wants_bytes());
  return taken;
}

/// Pings and acknowledgements are answered until what may not go in stands before them: while
/// Kafka has no room a PUBLISH, and in a pause whatever the rates count.
std::size_t DeviceSocket::offer_what_may_go_in(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (client_->wants_bytes()) {
    const auto rest = bytes.subspan(taken);
    std::size_t size = before_metered(rest);
    if (size == 0 && !rest.empty()) {
      is_held_ = must_hold(rest.front());
      if (is_held_) break;
      size = first_packet(rest);  // and then its rates are asked again
    }
    const std::size_t more = client_->on_bytes(loop_.loop().now(), rest.first(size));
    taken += more;
    if (more == 0) break;
  }
  return taken;
}

bool DeviceSocket::must_hold(std::byte first) {
  if (paused_until_ > loop_.loop().now()) return true;
  if (type_of(first) == mqtt::PacketType::kPublish && loop_.broker().is_full()) {
    // Once, however often it is asked: each entry would else make two of itself in each turn.
    if (!std::exchange(is_starved_, true)) loop_.add_starved(*this);
    return true;
  }
  paused_until_ = {};  // the client pauses again where it still owes
  return false;
}

void DeviceSocket::read_again() {
  if (stage_ != Stage::kMqtt || client_ == nullptr) return;
  if (stranger_ != nullptr && client_->is_accepted()) handshake_over();
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
  if (stage_ == Stage::kMqtt && has_untaken_ && may_feed() && !feed_mqtt({})) return;
  read();
}

void DeviceSocket::send_soon() {
  if (std::exchange(wants_flush_, true)) return;
  loop_.flush_later(*this);
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
    // Framed only when all before is gone: what waits must wait in the core's output, whose bound
    // is what holds back QoS 1 and drops QoS 0 for a client that does not read.
    if (!write_out(web_socket_->output)) {
      if (is_closed() || !SLUICE_PLANTED_BUG("front_frames_what_nobody_reads")) return;
    }
    if (!output.empty() && stage_ == Stage::kMqtt) {
      web_socket_->add_packets(output);
      output.clear();
      if (!write_out(web_socket_->output)) return;
    }
  } else if (!write_out(output)) {
    return;
  }
  if (closes_) return finish_closing();
  client_->on_writable(loop_.loop().now());
  if ((is_readable_ || has_untaken_) && may_read() &&
      !SLUICE_PLANTED_BUG("front_forgets_who_reads_again")) {
    take_turn();
  }
}

}  // namespace sluice::front
