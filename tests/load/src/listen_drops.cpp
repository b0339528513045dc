#include "listen_drops.h"

#include <fstream>
#include <sstream>

namespace sluice::load {

std::optional<std::uint64_t> listen_drops(const std::string& path) {
  // A line of names and one of values for each protocol.
  std::ifstream file(path);
  for (std::string names, values; std::getline(file, names) && std::getline(file, values);) {
    if (!names.starts_with("TcpExt:")) continue;
    std::istringstream name_words(names), value_words(values);
    for (std::string name, value; name_words >> name && value_words >> value;) {
      std::uint64_t count = 0;
      if (name == "ListenDrops" && std::istringstream(value) >> count) return count;
    }
  }
  return std::nullopt;
}

}  // namespace sluice::load
