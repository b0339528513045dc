#include <atomic>
#include <cerrno>
#include <mutex>
#include <span>

#include <sluice/log/logger.h>

#include <poll.h>
#include <sys/uio.h>

namespace sluice {
namespace {

/// How long the rest of a line that was cut in the middle waits for room: long enough for a reader
/// that is only busy, short enough not to stand still behind one that is gone.
constexpr int kPatienceMs = 100;

class FdLogSink final : public LogSink {
 public:
  explicit FdLogSink(int fd) : fd_(fd) {}

  void write(std::string_view line) override {
    const std::lock_guard lock(mutex_);
    const bool resumes = is_cut_;
    // A line that was given up in the middle is ended first, so that it spoils no other.
    iovec parts[3] = {view("\n"), view(line), view("\n")};
    std::span<iovec> rest(parts);
    if (!resumes) rest = rest.subspan(1);
    if (!write_all(rest)) dropped_.fetch_add(1, std::memory_order_relaxed);
  }

  std::uint64_t dropped() const override { return dropped_.load(std::memory_order_relaxed); }

 private:
  static iovec view(std::string_view text) {
    // writev() takes iovec, which has no const, but only reads.
    return {.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};  // NOLINT
  }

  bool write_all(std::span<iovec> parts) {
    bool is_begun = false;
    while (!parts.empty()) {
      const ssize_t written = writev(fd_, parts.data(), static_cast<int>(parts.size()));
      if (written < 0) {
        if (errno == EINTR) continue;
        // A full pipe costs this line alone if nothing of it is written yet.
        if (errno == EAGAIN && is_begun && wait_for_room()) continue;
        is_cut_ = is_cut_ || is_begun;
        return false;
      }
      is_begun = true;
      parts = skip(parts, static_cast<std::size_t>(written));
    }
    is_cut_ = false;
    return true;
  }

  bool wait_for_room() const {
    pollfd waiting{.fd = fd_, .events = POLLOUT, .revents = 0};
    return poll(&waiting, 1, kPatienceMs) > 0;
  }

  static std::span<iovec> skip(std::span<iovec> parts, std::size_t size) {
    while (!parts.empty() && size >= parts.front().iov_len) {
      size -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + size;
      parts.front().iov_len -= size;
    }
    return parts;
  }

  const int fd_;
  std::mutex mutex_;
  bool is_cut_ = false;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace

std::shared_ptr<LogSink> make_fd_log_sink(int fd) { return std::make_shared<FdLogSink>(fd); }

}  // namespace sluice
