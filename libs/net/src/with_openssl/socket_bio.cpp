#include "socket_bio.h"

#include <cerrno>
#include <cstdint>

#include <sys/socket.h>

namespace sluice::net {
namespace {

// The whole state fits into the pointer that a BIO keeps for us.
constexpr std::uintptr_t kDrained = 1;
constexpr std::uintptr_t kDetached = 2;
constexpr std::uintptr_t kLast = 4;
constexpr unsigned kFdShift = 3;

std::uintptr_t state_of(BIO* bio) { return reinterpret_cast<std::uintptr_t>(BIO_get_data(bio)); }

void set_state(BIO* bio, std::uintptr_t state) {
  BIO_set_data(bio, reinterpret_cast<void*>(state));  // NOLINT(performance-no-int-to-ptr)
}

int fd_of(BIO* bio) { return static_cast<int>(state_of(bio) >> kFdShift); }

bool must_wait() { return errno == EAGAIN || errno == EINTR; }

int read_bio(BIO* bio, char* out, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  const std::uintptr_t state = state_of(bio);
  if ((state & kDetached) != 0) return 0;
  if ((state & kDrained) != 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const ssize_t count = recv(fd_of(bio), out, size, 0);
  if (count < 0) {
    if (must_wait()) BIO_set_retry_read(bio);
    return -1;
  }
  // The end of the stream is no shortness: it stays there to be read.
  if (count > 0 && static_cast<std::size_t>(count) < size) set_state(bio, state | kDrained);
  *got = static_cast<std::size_t>(count);
  return count > 0 ? 1 : 0;
}

int write_bio(BIO* bio, const char* bytes, std::size_t size, std::size_t* put) {
  BIO_clear_retry_flags(bio);
  *put = size;
  if ((state_of(bio) & kDetached) != 0) return 1;
  const int more = (state_of(bio) & kLast) != 0 ? MSG_MORE : 0;
  const ssize_t count = send(fd_of(bio), bytes, size, MSG_NOSIGNAL | more);
  *put = count > 0 ? static_cast<std::size_t>(count) : 0;
  if (count >= 0) return 1;
  if (must_wait()) BIO_set_retry_write(bio);
  return -1;
}

long control_bio(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

using MethodPtr = std::unique_ptr<BIO_METHOD, Free<BIO_meth_free>>;

MethodPtr make_method() {
  MethodPtr method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket"));
  if (!method || BIO_meth_set_read_ex(method.get(), read_bio) != 1 ||
      BIO_meth_set_write_ex(method.get(), write_bio) != 1 ||
      BIO_meth_set_ctrl(method.get(), control_bio) != 1) {
    return nullptr;
  }
  return method;
}

}  // namespace

BioPtr new_socket_bio(int fd) {
  static const MethodPtr method = make_method();
  if (!method) return nullptr;
  BioPtr bio(BIO_new(method.get()));
  if (!bio) return nullptr;
  set_state(bio.get(), static_cast<std::uintptr_t>(fd) << kFdShift);
  BIO_set_init(bio.get(), 1);
  return bio;
}

void rearm_socket_bio(BIO* bio) { set_state(bio, state_of(bio) & ~kDrained); }

void hold_socket_bio_for_fin(BIO* bio) { set_state(bio, state_of(bio) | kLast); }

void detach_socket_bio(BIO* bio) { set_state(bio, state_of(bio) | kDetached); }

}  // namespace sluice::net
