#include <sluice/net/websocket.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

using Kind = WebSocketDecoder::Kind;
using State = WebSocketUpgrade::State;

std::string request(std::string_view change = "", std::string_view to = "") {
  std::string out =
      "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n"
      "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: other, mqtt\r\n"
      "Origin: https://app.example\r\n\r\n";
  if (!change.empty()) out.replace(out.find(change), change.size(), to);
  return out;
}

WebSocketUpgrade::Outcome upgrade(std::string_view text, const WebSocketOptions& options = {}) {
  return WebSocketUpgrade().read(text, options);
}

TEST(WebSocketUpgrade, AcceptsAsInTheRfcsExample) {
  const auto outcome = upgrade(request() + "frames");
  ASSERT_EQ(outcome.state, State::kAccepted) << outcome.response;
  EXPECT_EQ(outcome.consumed, request().size());
  EXPECT_TRUE(outcome.response.starts_with("HTTP/1.1 101 "));
  EXPECT_TRUE(outcome.response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  EXPECT_TRUE(outcome.response.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
}

TEST(WebSocketUpgrade, TakesTheNameOfMqtt31AndAQuery) {
  const auto outcome = upgrade(request("other, mqtt", "mqttv3.1"));
  EXPECT_TRUE(outcome.response.contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"));
  EXPECT_EQ(upgrade(request("/mqtt", "/mqtt?token=x")).status, 101);
}

TEST(WebSocketUpgrade, AnswersEachFaultWithItsStatus) {
  EXPECT_EQ(upgrade(request("/mqtt", "/")).status, 404);
  EXPECT_EQ(upgrade(request("GET", "POST")).status, 405);
  EXPECT_EQ(upgrade(request("websocket", "h2c")).status, 426);
  EXPECT_EQ(upgrade(request("keep-alive, Upgrade", "close")).status, 426);
  EXPECT_EQ(upgrade(request("Version: 13", "Version: 8")).status, 426);
  EXPECT_TRUE(upgrade(request("Version: 13", "Version: 8"))
                  .response.contains("Sec-WebSocket-Version: 13\r\n"));
  EXPECT_EQ(upgrade(request("other, mqtt", "other")).status, 400);
  EXPECT_EQ(upgrade(request("dGhlIHNhbXBsZSBub25jZQ==", "short")).status, 400);
  EXPECT_EQ(upgrade(request("Host: broker\r\n", "")).status, 400);
  EXPECT_EQ(upgrade(request("Host: broker", "Host: a\r\nHost: b")).status, 400);
  EXPECT_EQ(upgrade(request("Host: broker", "Host : broker")).status, 400);
  EXPECT_EQ(upgrade(request("Host: broker", "Host: bro\rker")).status, 400);
  EXPECT_EQ(upgrade(request("Host: broker", " folded")).status, 400);
  EXPECT_EQ(upgrade(request("Host: broker", "Host: b\r\nContent-Length: 5")).status, 400);
  EXPECT_EQ(upgrade(request("HTTP/1.1", "HTTP/1.0")).status, 400);
  EXPECT_EQ(upgrade("\x10\x1A garbage\r\n\r\n").status, 400);
}

TEST(WebSocketUpgrade, LetsInTheOriginsThatAreListed) {
  const WebSocketOptions options{.allowed_origins = {"https://app.example"}};
  EXPECT_EQ(upgrade(request(), options).status, 101);
  EXPECT_EQ(upgrade(request("https://app.example", "https://evil.example"), options).status, 403);
  EXPECT_EQ(upgrade(request("https://app.example", "https://app.example.evil"), options).status,
            403);
  EXPECT_EQ(upgrade(request("Origin: https://app.example\r\n", ""), options).status, 101);
}

TEST(WebSocketUpgrade, IsReadByteByByte) {
  WebSocketUpgrade parser;
  const std::string whole = request();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_EQ(parser.read(whole.substr(0, size), {}).state, State::kNeedMore) << size;
  }
  EXPECT_EQ(parser.read(whole, {}).state, State::kAccepted);
}

TEST(WebSocketUpgrade, RefusesAHeadOfMoreThanItsBound) {
  const std::string cookie = "Host: b\r\nCookie: " + std::string(kMaxUpgradeBytes, 'c');
  EXPECT_EQ(upgrade(request("Host: broker", cookie)).status, 431);
  EXPECT_EQ(upgrade(std::string(kMaxUpgradeBytes, 'G')).status, 431);
  EXPECT_EQ(upgrade(std::string(kMaxUpgradeBytes - 1, 'G')).state, State::kNeedMore);
}

std::string frame(unsigned first, std::string payload, bool is_masked = true) {
  static constexpr std::array<unsigned char, 4> kMask{0x37, 0xFA, 0x21, 0x3D};
  std::string out(1, static_cast<char>(first));
  const unsigned mask_bit = is_masked ? 0x80 : 0;
  const std::size_t size = payload.size();
  const std::size_t extra = size < 126 ? 0 : size <= 0xFFFF ? 2 : 8;
  out += static_cast<char>(mask_bit | (extra == 0 ? size : extra == 2 ? 126 : 127));
  for (std::size_t i = 0; i < extra; ++i) {
    out += static_cast<char>(size >> (8 * (extra - 1 - i)) & 0xFF);
  }
  if (!is_masked) return out + payload;
  for (const unsigned char byte : kMask) out += static_cast<char>(byte);
  for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<char>(payload[i] ^ kMask[i % 4]);
  return out + payload;
}

/// Everything that a decoder makes of the parts: the stream, and the other events as words.
struct Decoded {
  std::string stream;
  std::vector<std::string> events;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::vector<std::string> parts, std::uint64_t max_frame = 1 << 20) {
  WebSocketDecoder decoder(max_frame);
  Decoded out;
  for (std::string& part : parts) {
    auto input = std::as_writable_bytes(std::span(part));
    for (;;) {
      const auto event = decoder.next(input);
      if (event.kind == Kind::kNeedMore) break;
      const std::string text(reinterpret_cast<const char*>(event.payload.data()),
                             event.payload.size());
      if (event.kind == Kind::kData) out.stream += text;
      if (event.kind == Kind::kPing) out.events.push_back("ping " + text);
      if (event.kind == Kind::kPong) out.events.push_back("pong " + text);
      if (event.kind == Kind::kClose) out.events.push_back("close " + text);
      if (event.kind != Kind::kError) continue;
      out.events.push_back("error " + std::to_string(static_cast<int>(event.error)));
      return out;
    }
    EXPECT_TRUE(input.empty());
  }
  return out;
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 7 + i / 251);
  return out;
}

TEST(WebSocketDecoder, GivesTheSameStreamHoweverTheBytesAreSplit) {
  const std::string bytes = frame(0x02, pattern(10)) + frame(0x89, "are you there") +
                            frame(0x00, "") + frame(0x00, pattern(200)) + frame(0x8A, "") +
                            frame(0x80, pattern(70'000)) + frame(0x82, "x") +
                            frame(0x88, std::string("\x03\xE8", 2) + "bye");
  const Decoded whole = decode({bytes});
  EXPECT_EQ(whole.stream, pattern(10) + pattern(200) + pattern(70'000) + "x");
  ASSERT_EQ(whole.events.size(), 3U);
  EXPECT_EQ(whole.events[0], "ping are you there");
  std::vector<std::string> singles;
  for (const char c : bytes) singles.emplace_back(1, c);
  EXPECT_EQ(decode(singles), whole);
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = 1 + random() % (round % 3 == 0 ? 20'000 : 60);
      parts.push_back(bytes.substr(at, size));
      at += size;
    }
    ASSERT_EQ(decode(parts), whole);
  }
}

TEST(WebSocketDecoder, RefusesWhatBreaksTheProtocol) {
  const std::vector<std::string> error{"error 1002"};
  EXPECT_EQ(decode({frame(0x82, "x", false)}).events, error);  // not masked
  EXPECT_EQ(decode({frame(0xC2, "x")}).events, error);         // a reserved bit
  EXPECT_EQ(decode({frame(0x83, "x")}).events, error);         // a reserved opcode
  EXPECT_EQ(decode({frame(0x80, "x")}).events, error);         // continues nothing
  EXPECT_EQ(decode({frame(0x02, "x") + frame(0x82, "y")}).events, error);
  EXPECT_EQ(decode({frame(0x09, "x")}).events, error);  // a fragmented ping
  EXPECT_EQ(decode({frame(0x89, std::string(126, 'x'))}).events, error);
  EXPECT_EQ(decode({frame(0x88, "x")}).events, error);                         // half a code
  EXPECT_EQ(decode({frame(0x88, std::string("\x03\xED", 2))}).events, error);  // 1005
  EXPECT_EQ(decode({std::string("\x82\xFE\x00\x05", 4) + "mask12345"}).events, error);
  EXPECT_EQ(decode({std::string("\x82\xFF\xFF", 3) + std::string(11, '\xFF')}).events, error);
  EXPECT_EQ(decode({frame(0x81, "text")}).events, std::vector<std::string>{"error 1003"});
}

TEST(WebSocketDecoder, BoundsFrames) {
  EXPECT_EQ(decode({frame(0x82, pattern(1000))}, 1000).stream, pattern(1000));
  EXPECT_EQ(decode({frame(0x82, pattern(1001))}, 1000).events,
            std::vector<std::string>{"error 1009"});
}

TEST(WebSocketDecoder, IgnoresWhatFollowsAClose) {
  const Decoded out = decode({frame(0x88, "") + frame(0x82, "late"), frame(0x82, "later")});
  EXPECT_EQ(out.stream, "");
  EXPECT_EQ(out.events, std::vector<std::string>{"close "});
}

TEST(WebSocketDecoder, KeepsItsBoundsOnRandomBytes) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (!bytes.empty()) bytes[0] = '\x82';
    ASSERT_LE(decode({bytes}).stream.size(), bytes.size());
  }
}

TEST(WebSocketEncoder, WritesTheShortestHeader) {
  const auto header = [](std::uint64_t size) {
    std::array<std::byte, kMaxServerHeader> out{};
    const std::size_t used = encode_websocket_header(WebSocketOpcode::kBinary, size, out);
    return std::string(reinterpret_cast<const char*>(out.data()), used);
  };
  EXPECT_EQ(header(125), std::string("\x82\x7D", 2));
  EXPECT_EQ(header(126), std::string("\x82\x7E\x00\x7E", 4));
  EXPECT_EQ(header(65'536), std::string("\x82\x7F\0\0\0\0\0\1\0\0", 10));
}

TEST(WebSocketEncoder, WritesClose) {
  const auto close = encode_websocket_close(WebSocketClose::kTooBig);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(close.data()), 4), "\x88\x02\x03\xF1");
}

}  // namespace
}  // namespace sluice::net
