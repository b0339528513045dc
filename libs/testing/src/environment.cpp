#include <sluice/testing/environment.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <format>
#include <stdexcept>

#include <unistd.h>

namespace sluice::testing {
namespace {

/// Base 36 keeps names short: PostgreSQL cuts identifiers at 63 bytes.
std::string base36(std::uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 36).ptr;
  return std::string(digits, end);
}

}  // namespace

std::string require_env(std::string_view name) {
  const std::string variable(name);
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    throw std::runtime_error(std::format(
        "{} is not set. This test needs the real stack: run it with `make test`, or under "
        "`docker/stack/stack.py exec -- <test program>`.",
        name));
  }
  return value;
}

std::filesystem::path built_program(std::string_view name) {
  const auto build = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const auto program = build / "bin" / name;
  if (!std::filesystem::exists(program)) {
    throw std::runtime_error(
        std::format("{} has not been built; its target is {}", program.string(), name));
  }
  return program;
}

std::string unique_name(std::string_view prefix) {
  // The process id alone is not enough: containers count theirs from 1 each.
  static const auto start = static_cast<std::uint64_t>(
      std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())
          .time_since_epoch()
          .count());
  static std::atomic<std::uint64_t> count{0};

  std::string name;
  for (const char c : prefix) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    name += is_plain ? c : (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : '_';
  }
  return std::format("{}_{}_{}_{}", name, base36(static_cast<std::uint64_t>(::getpid())),
                     base36(start), base36(count.fetch_add(1)));
}

}  // namespace sluice::testing
