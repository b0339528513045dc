#include "world/trace.h"

#include <chrono>
#include <cstdio>

namespace sluice::simulation {

void Trace::begin() {
  const auto at = std::chrono::duration_cast<std::chrono::microseconds>(clock_.mono() - start_);
  std::format_to(std::back_inserter(line_), "{:4}.{:06} ", at.count() / 1'000'000,
                 at.count() % 1'000'000);
}

void Trace::end() {
  for (const char byte : line_) {
    hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  }
  ++lines_;
  if (is_shown) std::printf("%s\n", line_.c_str());
  if (last_.size() == kKept) {
    std::swap(last_.front(), line_);  // its memory is used again
    last_.push_back(std::move(last_.front()));
    last_.pop_front();
  } else {
    last_.push_back(line_);
  }
}

}  // namespace sluice::simulation
