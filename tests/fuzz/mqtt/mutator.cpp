// Mutations that keep MQTT's framing whole, so that what is behind the first length is reached: a
// fixed header that lies about its length is refused before anything else is read.

#include "../fuzz.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace sluice::fuzz {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Packet {
  std::uint8_t first = 0;
  Bytes body{};
};

/// The packets of an input; nullopt where it is not a sequence of whole ones.
std::optional<std::vector<Packet>> take_apart(std::span<const std::uint8_t> rest) {
  std::vector<Packet> packets;
  while (!rest.empty()) {
    std::size_t length = 0;
    std::size_t used = 1;
    for (unsigned shift = 0;; shift += 7) {
      if (shift == 28 || used == rest.size()) return std::nullopt;
      const std::uint8_t byte = rest[used++];
      length |= static_cast<std::size_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) break;
    }
    if (length > rest.size() - used) return std::nullopt;
    const auto body = rest.subspan(used, length);
    packets.push_back({.first = rest[0], .body = {body.begin(), body.end()}});
    rest = rest.subspan(used + length);
  }
  return packets;
}

/// The packets with true lengths, as far as there is room.
std::size_t put_together(const std::vector<Packet>& packets, std::span<std::uint8_t> out) {
  std::size_t size = 0;
  const auto put = [&](std::size_t byte) {
    if (size < out.size()) out[size++] = static_cast<std::uint8_t>(byte);
  };
  for (const Packet& packet : packets) {
    put(packet.first);
    std::size_t length = packet.body.size();
    for (; length >= 128; length >>= 7) put(length | 0x80);
    put(length);
    for (const std::uint8_t byte : packet.body) put(byte);
  }
  return size;
}

void mutate_body(Packet& packet, std::size_t room) {
  const std::size_t size = packet.body.size();
  packet.body.resize(size + std::min<std::size_t>(room, 64));
  if (packet.body.empty()) return;
  packet.body.resize(LLVMFuzzerMutate(packet.body.data(), size, packet.body.size()));
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  auto packets = sluice::fuzz::take_apart({data, size});
  // Now and then the framing itself.
  if (!packets || packets->empty() || seed % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  auto& packet = (*packets)[seed / 64 % packets->size()];
  switch (seed / 8 % 8) {
    case 0:  // another type or other flags
      packet.first = static_cast<std::uint8_t>(packet.first ^ 1U << (seed / 4096 % 8));
      break;
    case 1:
      packets->push_back(packet);
      break;
    case 2:
      if (packets->size() > 1) packets->erase(packets->begin());
      break;
    default:
      mutate_body(packet, max_size - size);
  }
  return sluice::fuzz::put_together(*packets, {data, max_size});
}
