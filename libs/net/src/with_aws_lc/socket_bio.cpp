#include "socket_bio.h"

#include <cerrno>
#include <cstdint>

#include <sys/socket.h>

namespace sluice::net::aws_lc {
namespace {

// The whole state fits into the pointer that a BIO keeps for us.
constexpr std::uintptr_t kDrained = 1;
constexpr std::uintptr_t kLast = 2;
constexpr unsigned kFdShift = 2;

std::uintptr_t state_of(BIO* bio) { return reinterpret_cast<std::uintptr_t>(BIO_get_data(bio)); }

void set_state(BIO* bio, std::uintptr_t state) {
  BIO_set_data(bio, reinterpret_cast<void*>(state));  // NOLINT(performance-no-int-to-ptr)
}

int fd_of(BIO* bio) { return static_cast<int>(state_of(bio) >> kFdShift); }

bool must_wait() { return errno == EAGAIN || errno == EINTR; }

int read_bio(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  const std::uintptr_t state = state_of(bio);
  if ((state & kDrained) != 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const ssize_t count = recv(fd_of(bio), out, static_cast<std::size_t>(size), 0);
  if (count < 0 && must_wait()) BIO_set_retry_read(bio);
  // The end of the stream is no shortness: it stays there to be read.
  if (count > 0 && count < size) set_state(bio, state | kDrained);
  return static_cast<int>(count);
}

int write_bio(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const int more = (state_of(bio) & kLast) != 0 ? MSG_MORE : 0;
  const ssize_t count =
      send(fd_of(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL | more);
  if (count < 0 && must_wait()) BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

long control_bio(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

bssl::UniquePtr<BIO_METHOD> make_method() {
  bssl::UniquePtr<BIO_METHOD> method(
      BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket"));
  if (!method || BIO_meth_set_read(method.get(), read_bio) != 1 ||
      BIO_meth_set_write(method.get(), write_bio) != 1 ||
      BIO_meth_set_ctrl(method.get(), control_bio) != 1) {
    return nullptr;
  }
  return method;
}

}  // namespace

bssl::UniquePtr<BIO> new_socket_bio(int fd) {
  static const bssl::UniquePtr<BIO_METHOD> method = make_method();
  if (!method) return nullptr;
  bssl::UniquePtr<BIO> bio(BIO_new(method.get()));
  if (!bio) return nullptr;
  set_state(bio.get(), static_cast<std::uintptr_t>(fd) << kFdShift);
  BIO_set_init(bio.get(), 1);
  return bio;
}

void rearm(BIO* bio) { set_state(bio, state_of(bio) & ~kDrained); }

bool is_drained(BIO* bio) { return (state_of(bio) & kDrained) != 0; }

void hold_for_fin(BIO* bio) { set_state(bio, state_of(bio) | kLast); }

}  // namespace sluice::net::aws_lc
