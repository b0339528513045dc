// What the fuzzers begin with: seeds FOLDER writes a folder for each target.
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace {

using namespace std::literals;

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
  }
  void add(std::string_view bytes) {
    std::ofstream(path_ / std::to_string(count_++), std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_;
  int count_ = 0;
};

/// With a mask of zeroes, and before it the byte that chooses how it is split.
std::string frame(unsigned char first, std::string_view payload) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else {
    out += "\xFE"s + static_cast<char>(payload.size() >> 8) + static_cast<char>(payload.size());
  }
  return (out + "\1\2\3\4"s).append(payload);
}

void write_frames(Folder folder) {
  constexpr unsigned char kFirst[] = {0x82, 0x02, 0x80, 0x89, 0x8A, 0x81, 0xC2, 0x83};
  for (const unsigned char first : kFirst) {
    folder.add("\7"s + frame(first, "payload"));
  }
  folder.add("\7"s + frame(0x02, "one") + frame(0x89, "ping") + frame(0x80, "two") +
             frame(0x88, "\x03\xE8"s + "bye"));
  folder.add("\7"s + frame(0x82, std::string(300, 'x')) + frame(0x88, ""));
  folder.add("\7"s + frame(0x82, std::string(1001, 'x')));
  folder.add("\7\x82\xFF\0\0\0\0\0\1\0\0\1\2\3\4"s);
  folder.add("\7\x82\5hello"s);
}

void write_upgrades(Folder folder) {
  const std::string head =
      "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Sec-WebSocket-Protocol: other, mqtt\r\n";
  folder.add(head + "\r\n");
  folder.add(head + "\r\n\x82\x80\1\2\3\4");
  folder.add(head + "Origin: https://a.example\r\n\r\n");
  folder.add(head + "Origin: https://b.example\r\n\r\n");
  folder.add(head + "Content-Length: 3\r\n\r\n");
  folder.add("GET /other?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  folder.add("POST /mqtt HTTP/1.1\r\nHost: a\r\n\r\n");
  folder.add("GET /mqtt HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n");
}

void write_headers(Folder folder) {
  const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;
  folder.add(signature + "\x21\x11\0\x0C\x0A\0\0\x07\x7F\0\0\x01\x12\x34\x07\x5B"s + "after");
  folder.add(signature + "\x21\x21\0\x24"s + std::string(36, '\1'));
  folder.add(signature + "\x21\x11\0\x13\x0A\0\0\x07\x7F\0\0\x01\x12\x34\x07\x5B\x03\0\4abcd"s);
  folder.add(signature + "\x20\0\0\0"s);
  folder.add(signature + "\x21\x31\0\xD8"s + std::string(216, 'u'));
  folder.add("PROXY TCP4 192.0.2.1 192.0.2.2 1234 8883\r\n");
  folder.add("PROXY TCP6 2001:db8::1 2001:db8::2 1234 8883\r\nafter");
  folder.add("PROXY TCP4 192.0.2.1\0.7 192.0.2.2 1234 8883\r\n"s);
  folder.add("PROXY UNKNOWN\r\n");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::filesystem::path folder(arguments[1]);
  write_frames(Folder(folder / "websocket"));
  write_upgrades(Folder(folder / "upgrade"));
  write_headers(Folder(folder / "proxy"));
  return 0;
}
