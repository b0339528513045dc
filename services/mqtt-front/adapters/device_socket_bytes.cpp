// What moves bytes between the kernel and the core; the rest of DeviceSocket is its life.
#include "adapters/device_socket.h"
#include "adapters/front_loop.h"

#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include <sluice/mqtt/decoder.h>

namespace sluice::front {
namespace {

// How many times one socket is read before the others have their turn.
constexpr int kReadsPerTurn = 4;
// Output buffers up to this size are kept while a client is busy.
constexpr std::size_t kKeptOutput = 512;

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
  const std::size_t frames = web_socket_ ? web_socket_->output.size() : 0;
  return client_->output().size() + frames - sent_;
}

void WebSocketState::add_packets(std::span<const std::byte> packets) {
  while (!packets.empty()) {
    const auto packet = mqtt::next_frame(packets, mqtt::kMaxRemainingLength).value().value();
    add_frame(net::WebSocketOpcode::kBinary, packets.first(packet.size));
    packets = packets.subspan(packet.size);
  }
}

bool DeviceSocket::may_read() {
  if (stage_ == Stage::kClosing) return true;
  if (client_ == nullptr || moves_to_ >= 0) return false;
  if (stage_ == Stage::kUpgrade) return true;
  if (!client_->wants_bytes()) return false;
  if (paused_until_ > loop_.loop().now()) return false;
  if (unsent() >= plan_.max_output) return false;
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
    switch (event.kind) {
      case Kind::kNeedMore:
        return true;
      case Kind::kData:
        if (!feed_mqtt(event.payload)) return false;
        break;
      case Kind::kPing:
        web_socket_->add_frame(net::WebSocketOpcode::kPong, event.payload);
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
    if (!write_out(web_socket_->output)) return;
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
  if (is_readable_) take_turn();
}

}  // namespace sluice::front
