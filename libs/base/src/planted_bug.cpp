#include <sluice/base/planted_bug.h>

#include <cstdlib>

namespace sluice {
namespace {

/// The environment's, read before main() has threads that could change it.
const std::string* bug_of_the_environment() {
  const char* text = std::getenv("SLUICE_PLANTED_BUG");
  if (text == nullptr || *text == '\0') return nullptr;
  static const std::string name = text;
  return &name;
}

}  // namespace

namespace detail {

std::atomic<const std::string*> planted_bug{bug_of_the_environment()};

bool is_planted_slow(std::string_view name) {
  const std::string* planted = planted_bug.load(std::memory_order_acquire);
  return planted != nullptr && *planted == name;
}

}  // namespace detail

ScopedPlantedBug::ScopedPlantedBug(std::string name)
    : name_(std::move(name)), before_(detail::planted_bug.exchange(&name_)) {}

ScopedPlantedBug::~ScopedPlantedBug() { detail::planted_bug.store(before_); }

}  // namespace sluice
