#include <sluice/redis/command.h>

#include <array>
#include <charconv>

namespace sluice::redis {
namespace {

/// CRC-16/XMODEM, polynomial 0x1021, as the Cluster specification asks.
constexpr std::array<std::uint16_t, 256> make_crc_table() {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}

constexpr auto kCrcTable = make_crc_table();

void append_number(std::string& out, char prefix, std::size_t number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out += prefix;
  out.append(digits.data(), end);
  out += "\r\n";
}

}  // namespace

std::uint16_t slot_of(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    // An empty tag does not count: the whole key is hashed then.
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  unsigned crc = 0;
  for (char c : key) {
    crc = ((crc << 8) ^ kCrcTable[((crc >> 8) ^ static_cast<std::uint8_t>(c)) & 0xFFU]) & 0xFFFFU;
  }
  return static_cast<std::uint16_t>(crc % kSlotCount);
}

Command::Command(std::int32_t slot, std::span<const std::string_view> words) : slot_(slot) {
  std::size_t size = 16;
  for (std::string_view word : words) size += word.size() + 16;
  wire_.reserve(size);
  append_number(wire_, '*', words.size());
  for (std::string_view word : words) {
    append_number(wire_, '$', word.size());
    wire_ += word;
    wire_ += "\r\n";
  }
}

Command Command::on_key(std::string_view key, std::initializer_list<std::string_view> words) {
  return on_key(key, std::span(words.begin(), words.size()));
}

Command Command::on_key(std::string_view key, std::span<const std::string_view> words) {
  return {slot_of(key), words};
}

Command Command::anywhere(std::initializer_list<std::string_view> words) {
  return {-1, std::span(words.begin(), words.size())};
}

}  // namespace sluice::redis
