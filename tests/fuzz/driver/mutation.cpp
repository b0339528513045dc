#include "mutation.h"

#include <algorithm>

namespace sluice::fuzz {

std::uint64_t Numbers::next() {
  std::uint64_t value = state_ += 0x9E37'79B9'7F4A'7C15U;
  value = (value ^ value >> 30) * 0xBF58'476D'1CE4'E5B9U;
  value = (value ^ value >> 27) * 0x94D0'49BB'1331'11EBU;
  return value ^ value >> 31;
}

namespace {

std::ptrdiff_t offset(std::size_t at) { return static_cast<std::ptrdiff_t>(at); }

void insert_part(Input& input, const Input& other, Numbers& numbers) {
  if (other.empty()) return;
  const std::size_t begin = numbers.below(other.size());
  const std::size_t size = 1 + numbers.below(std::min<std::size_t>(other.size() - begin, 64));
  const Input part(other.begin() + offset(begin), other.begin() + offset(begin + size));
  const std::size_t at = numbers.below(input.size() + 1);
  if (numbers.below(2) == 0 && at + size <= input.size()) {
    std::ranges::copy(part, input.begin() + offset(at));
  } else {
    input.insert(input.begin() + offset(at), part.begin(), part.end());
  }
}

void erase_part(Input& input, Numbers& numbers) {
  const std::size_t begin = numbers.below(input.size());
  const std::size_t size = 1 + numbers.below(std::min<std::size_t>(input.size() - begin, 16));
  input.erase(input.begin() + offset(begin), input.begin() + offset(begin + size));
}

}  // namespace

void mutate(Input& input, const Input& other, std::size_t max_size, Numbers& numbers) {
  // Where lengths, flags and signs turn over.
  static constexpr std::uint8_t kEdges[] = {0x00, 0x01, 0x02, 0x0F, 0x10, 0x7F, 0x80, 0xC3, 0xFF};
  if (input.empty()) {
    input.push_back(static_cast<std::uint8_t>(numbers.next()));
    return;
  }
  const std::size_t at = numbers.below(input.size());
  switch (numbers.below(8)) {
    case 0:
      input[at] = static_cast<std::uint8_t>(input[at] ^ 1U << numbers.below(8));
      break;
    case 1:
      input[at] = static_cast<std::uint8_t>(numbers.next());
      break;
    case 2:
      input[at] = kEdges[numbers.below(std::size(kEdges))];
      break;
    case 3:
      input[at] = static_cast<std::uint8_t>(input[at] + (numbers.below(2) == 0 ? 1 : -1));
      break;
    case 4:
      input.insert(input.begin() + offset(at), static_cast<std::uint8_t>(numbers.next()));
      break;
    case 5:
      erase_part(input, numbers);
      break;
    case 6:
      insert_part(input, other, numbers);
      break;
    default:
      input.resize(at);
  }
  if (input.size() > max_size) input.resize(max_size);
}

}  // namespace sluice::fuzz
