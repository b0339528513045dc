#include <sluice/base/crash_point.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>

#include <sluice/base/check.h>

namespace sluice {
namespace {

/// Read once: the environment is not safe to read while another thread might change it.
const std::optional<CrashPointSpec>& armed_point() {
  static const std::optional<CrashPointSpec> armed = []() -> std::optional<CrashPointSpec> {
    const char* text = std::getenv("SLUICE_CRASH_POINT");
    if (text == nullptr || *text == '\0') return std::nullopt;
    auto spec = CrashPointSpec::parse(text);
    SLUICE_CHECK(spec.has_value());
    return spec;
  }();
  return armed;
}

}  // namespace

std::optional<CrashPointSpec> CrashPointSpec::parse(std::string_view text) {
  CrashPointSpec spec;
  const std::size_t colon = text.find(':');
  spec.name = text.substr(0, colon);
  if (spec.name.empty()) return std::nullopt;
  if (colon == std::string_view::npos) return spec;
  const std::string_view number = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), spec.pass);
  if (error != std::errc() || end != number.data() + number.size() || spec.pass == 0) {
    return std::nullopt;
  }
  return spec;
}

void pass_crash_point(std::string_view name) {
  // The one mutable global: which pass this is, counted over all threads.
  static std::atomic<std::uint64_t> passes{0};
  const auto& armed = armed_point();
  if (!armed || name != armed->name) return;
  if (passes.fetch_add(1) + 1 == armed->pass) std::raise(SIGKILL);
}

}  // namespace sluice
