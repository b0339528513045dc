#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::net {

/// MQTT over WebSocket [MQTT-6.0.0-1 to 6.0.0-4] as RFC 6455 has it, server side. Pure: bytes in,
/// bytes out.
struct WebSocketOptions {
  std::string path = "/mqtt";  // a query after it is ignored
  /// Values of Origin that browsers may come from ("https://app.example.com"); empty: any.
  /// Clients that are no browsers send none and are let in.
  std::vector<std::string> allowed_origins{};
  std::uint64_t max_frame_bytes = 1 << 20;  // of one frame's payload
};

/// Longest head of an upgrade request; cookies of browsers fit.
inline constexpr std::size_t kMaxUpgradeBytes = 8 * 1024;

/// Reads the HTTP/1.1 request that opens a WebSocket. One per connection, gone after it.
class WebSocketUpgrade {
 public:
  enum class State : std::uint8_t { kNeedMore, kAccepted, kRefused };
  struct Outcome {
    State state = State::kNeedMore;
    std::size_t consumed = 0;  // when kAccepted: bytes of the head; frames follow
    int status = 0;            // 101, 400, 403, 404, 405, 426, 431
    std::string response;      // to be sent; after a refusal the connection is closed
  };

  /// `bytes` is everything received so far, from the first byte on. `options` is used in this call
  /// only.
  Outcome read(std::string_view bytes, const WebSocketOptions& options);

 private:
  std::size_t searched_ = 0;  // no end of the head before here
};

/// Status codes of a close frame that we send (RFC 6455, 7.4.1).
enum class WebSocketClose : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kTooBig = 1009,
};

/// Unmasks and unwraps the frames of a client, in place and without allocation. Payload comes out
/// as it comes in: frames are not gathered, since MQTT packets may span and share them.
class WebSocketDecoder {
 public:
  enum class Kind : std::uint8_t {
    kNeedMore,  // `input` is used up
    kData,      // the next bytes of the MQTT stream; may be a part of a frame
    kPing,      // answer with a pong of this payload
    kPong,
    kClose,  // answer with this payload, then close; nothing follows
    kError,  // send a close frame with `error`, then close; nothing follows
  };
  struct Event {
    Kind kind = Kind::kNeedMore;
    /// kData: in `input`. kPing, kPong, kClose: in the decoder, until the next call.
    std::span<std::byte> payload{};
    WebSocketClose error = WebSocketClose::kNormal;
  };

  explicit WebSocketDecoder(std::uint64_t max_frame_bytes) : max_frame_bytes_(max_frame_bytes) {}

  /// Takes what it can from the front of `input`, which shrinks by that. Call until kNeedMore.
  Event next(std::span<std::byte>& input);

 private:
  static constexpr std::size_t kMaxHeader = 14;
  static constexpr std::size_t kMaxControl = 125;

  bool take_header(std::span<std::byte>& input);
  std::size_t header_size() const;
  bool start_frame();
  bool refuse(WebSocketClose error);
  Event take_data(std::span<std::byte>& input);
  Event take_control(std::span<std::byte>& input);
  Event finish_control();

  std::uint64_t max_frame_bytes_;
  std::uint64_t left_ = 0;        // payload of the current frame that is still to come
  std::uint8_t header_have_ = 0;  // bytes of header_
  std::uint8_t control_have_ = 0;
  std::uint8_t opcode_ = 0;
  std::uint8_t mask_at_ = 0;  // which byte of mask_ is next
  bool in_frame_ = false;
  bool in_message_ = false;  // a fragmented message is open
  bool is_over_ = false;
  WebSocketClose error_ = WebSocketClose::kNormal;
  std::array<std::byte, 4> mask_{};
  std::array<std::byte, kMaxHeader> header_{};
  std::array<std::byte, kMaxControl> control_{};
};

enum class WebSocketOpcode : std::uint8_t { kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

/// Longest header of a frame that a server sends: servers do not mask.
inline constexpr std::size_t kMaxServerHeader = 10;

/// Writes the header of an unfragmented frame of `payload_bytes` and returns its size.
std::size_t encode_websocket_header(WebSocketOpcode opcode, std::uint64_t payload_bytes,
                                    std::span<std::byte, kMaxServerHeader> out);
/// A whole close frame.
std::array<std::byte, 4> encode_websocket_close(WebSocketClose code);

}  // namespace sluice::net
