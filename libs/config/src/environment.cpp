#include <algorithm>
#include <string>

#include <sluice/config/settings.h>

#include <unistd.h>

namespace sluice {
namespace {

constexpr std::string_view kPrefix = "SLUICE_";

}  // namespace

std::string environment_name(std::string_view setting) {
  std::string out(kPrefix);
  std::ranges::transform(setting, std::back_inserter(out), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return out;
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace sluice
