#include <sluice/base/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sluice/base/check.h>

#include <sys/random.h>

namespace sluice {
namespace {

/// The kernel's randomness, fetched 256 bytes at a time: one system call for 32 numbers. Bytes are
/// wiped as they are handed out, so that a later memory read does not reveal earlier secrets.
class Pool {
 public:
  std::uint64_t take() {
    if (used_ == bytes_.size()) refill();
    std::uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + used_, sizeof value);
    std::memset(bytes_.data() + used_, 0, sizeof value);
    used_ += sizeof value;
    return value;
  }

 private:
  void refill() {
    // getrandom() never returns fewer than 256 bytes once the kernel's pool is ready, except on
    // EINTR.
    ssize_t got = -1;
    do {
      got = getrandom(bytes_.data(), bytes_.size(), 0);
    } while (got < 0 && errno == EINTR);
    SLUICE_CHECK(got == static_cast<ssize_t>(bytes_.size()));
    used_ = 0;
  }

  std::array<std::byte, 256> bytes_{};
  std::size_t used_ = bytes_.size();
};

}  // namespace

std::uint64_t Random::below(std::uint64_t bound) {
  SLUICE_CHECK(bound > 0);
  // Numbers past the last whole multiple of bound would favour the small results.
  const std::uint64_t limit = max() - max() % bound;
  std::uint64_t value = next();
  while (value >= limit) value = next();
  return value % bound;
}

void Random::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t value = next();
    const std::size_t size = std::min(out.size(), sizeof value);
    std::memcpy(out.data(), &value, size);
    out = out.subspan(size);
  }
}

std::uint64_t SystemRandom::next() {
  thread_local Pool pool;
  return pool.take();
}

}  // namespace sluice
