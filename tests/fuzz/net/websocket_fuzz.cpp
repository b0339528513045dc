// A client's frames: the same stream and the same end however the bytes are split, and nothing that
// leads outside of the input.

#include "../fuzz.h"

#include <algorithm>
#include <string>
#include <vector>

#include <sluice/net/websocket.h>

namespace sluice::net {
namespace {

using Kind = WebSocketDecoder::Kind;

constexpr std::uint64_t kMaxFrame = 1000;

/// Everything that a decoder makes of an input.
struct Decoded {
  std::string stream{};
  std::string events{};  // the others, in their order
  bool operator==(const Decoded&) const = default;
};

/// In parts of the sizes that `next_size` gives.
template <typename NextSize>
Decoded decode(std::vector<std::byte> bytes, NextSize next_size) {
  WebSocketDecoder decoder(kMaxFrame);
  Decoded out;
  std::span<std::byte> rest = bytes;
  while (!rest.empty()) {
    std::span<std::byte> part = rest.first(std::min<std::size_t>(next_size(), rest.size()));
    rest = rest.subspan(part.size());
    while (true) {
      const std::span<std::byte> before = part;
      const auto event = decoder.next(part);
      // What follows a close is thrown away as a whole.
      SLUICE_CHECK(part.empty() ||
                   (part.size() <= before.size() && &part.back() == &before.back()));
      if (event.kind == Kind::kNeedMore) break;
      const std::string text(reinterpret_cast<const char*>(event.payload.data()),
                             event.payload.size());
      if (event.kind == Kind::kData) {
        SLUICE_CHECK(!text.empty() && event.payload.data() >= before.data() &&
                     event.payload.data() + text.size() <= before.data() + before.size());
        out.stream += text;
        continue;
      }
      SLUICE_CHECK(text.size() <= 125);
      out.events += static_cast<char>('0' + static_cast<int>(event.kind));
      out.events += text + std::to_string(static_cast<int>(event.error)) + ' ';
      if (event.kind == Kind::kError) return out;  // nothing follows
    }
    SLUICE_CHECK(part.empty());
  }
  return out;
}

}  // namespace
}  // namespace sluice::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  fuzz::Choices choices(data, size);
  const unsigned seed = choices.byte();
  const auto given = fuzz::as_bytes(data, size).subspan(std::min<std::size_t>(size, 1));
  const std::vector<std::byte> bytes(given.begin(), given.end());
  const auto whole = net::decode(bytes, [&] { return bytes.size(); });
  SLUICE_CHECK(whole.stream.size() <= bytes.size());
  SLUICE_CHECK(net::decode(bytes, [] { return std::size_t{1}; }) == whole);
  std::size_t step = seed;
  SLUICE_CHECK(net::decode(bytes, [&] { return 1 + (step = step * 31 + 7) % 40; }) == whole);
  return 0;
}
