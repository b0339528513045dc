#pragma once

#include "../fuzz.h"

#include <string>

namespace sluice::mqtt {

// Topics and filters that choices spell, of levels so few that they meet.

inline std::string chosen_levels(fuzz::Choices& choices, bool has_wildcards) {
  static constexpr const char* kLevels[] = {"a", "b", "", "$s", "a level longer than most", "+"};
  const unsigned shape = choices.byte();
  std::string text;
  for (unsigned left = shape % 5; left > 0; --left) {
    text += kLevels[choices.below(has_wildcards ? 6 : 5)];
    text += '/';
  }
  if (has_wildcards && shape % 3 == 0) return text + "#";
  if (has_wildcards && shape % 3 == 1) return text + "+";
  return text + "z";
}

}  // namespace sluice::mqtt
