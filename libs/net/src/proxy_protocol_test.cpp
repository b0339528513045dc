#include <sluice/net/proxy_protocol.h>

#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

using State = ProxyHeader::State;

ProxyHeader read(std::string_view text) {
  return read_proxy_header(std::as_bytes(std::span(text)));
}

std::string v2(char command, char family, std::string_view body) {
  std::string out("\r\n\r\n\0\r\nQUIT\n", 12);
  out += command;
  out += family;
  out += static_cast<char>(body.size() >> 8);
  out += static_cast<char>(body.size() & 0xFF);
  return out.append(body);
}

const std::string kTcp4 = v2('\x21', '\x11',
                             std::string_view("\x0A\x00\x00\x07\x0A\x00\x00\x01\x30\x39\x07\x5B"
                                              "\x20\x00\x02xy",
                                              17));

TEST(ProxyProtocol, ReadsVersion2WithTlvs) {
  const auto header = read(kTcp4 + "\x10 MQTT");
  ASSERT_EQ(header.state, State::kComplete);
  EXPECT_EQ(header.consumed, kTcp4.size());
  ASSERT_TRUE(header.source);
  EXPECT_EQ(header.source->text(), "10.0.0.7:12345");
}

TEST(ProxyProtocol, ReadsVersion2OverIpv6) {
  std::string body(36, '\0');
  body[0] = '\x20';
  body[1] = '\x01';
  body[15] = '\x07';
  body[33] = '\x50';
  const auto header = read(v2('\x21', '\x21', body));
  ASSERT_EQ(header.state, State::kComplete);
  EXPECT_EQ(header.source->text(), "[2001::7]:80");
}

TEST(ProxyProtocol, TakesTheSocketsPeerForLocalAndUnspecified) {
  EXPECT_EQ(read(v2('\x20', '\0', "")).source, std::nullopt);
  EXPECT_EQ(read(v2('\x20', '\0', "")).state, State::kComplete);
  EXPECT_EQ(read(v2('\x21', '\0', "tlvs")).state, State::kComplete);
  EXPECT_EQ(read("PROXY UNKNOWN whatever\r\n").state, State::kComplete);
  EXPECT_EQ(read("PROXY UNKNOWN\r\n").source, std::nullopt);
}

TEST(ProxyProtocol, ReadsVersion1) {
  const std::string four = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n";
  EXPECT_EQ(read(four + "rest").consumed, four.size());
  EXPECT_EQ(read(four).source->text(), "192.0.2.1:56324");
  EXPECT_EQ(read("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n").source->text(), "[2001:db8::1]:1");
}

TEST(ProxyProtocol, WaitsForTheRestOfEveryPrefix) {
  for (const std::string& whole : {kTcp4, std::string("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n")}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(read(whole.substr(0, size)).state, State::kNeedMore) << size;
    }
    EXPECT_EQ(read(whole).state, State::kComplete);
  }
}

TEST(ProxyProtocol, RefusesWhatIsNone) {
  for (const std::string& text :
       {std::string("\x10\x10"), std::string("GET / HTTP/1.1"), std::string("PROXY TCP4\r\n"),
        std::string("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"),
        std::string("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n"),
        std::string("PROXY TCP4 ::1 ::2 1 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4") + '\0' + " 5.6.7.8 1 2\r\n",
        std::string("PROXY TCP4 1.2.3.4 5.6.7.8") + '\0' + "9 1 2\r\n",
        "PROXY UNKNOWN " + std::string(200, 'x'), v2('\x11', '\x11', std::string(12, 'a')),
        v2('\x22', '\x11', std::string(12, 'a')), v2('\x21', '\x11', std::string(11, 'a')),
        v2('\x21', '\x21', std::string(35, 'a')), v2('\x21', '\x11', std::string(2049, 'a'))}) {
    EXPECT_EQ(read(text).state, State::kInvalid) << text;
  }
}

TEST(ProxyProtocol, KeepsItsBoundsOnRandomBytes) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = random() % 2 == 0 ? kTcp4 : "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
    for (auto changes = random() % 4; changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const auto header = read(text);
    ASSERT_LE(header.consumed, text.size());
    ASSERT_EQ(header.state == State::kComplete, header.consumed > 0);
  }
}

}  // namespace
}  // namespace sluice::net
