#include "socket_bio.h"

#include <cerrno>

namespace sluice::net::aws_lc {
namespace {

RecordSocket& socket_of(BIO* bio) { return *static_cast<RecordSocket*>(BIO_get_data(bio)); }

bool must_wait() { return errno == EAGAIN || errno == EINTR; }

int read_bio(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t count = socket_of(bio).read({out, static_cast<std::size_t>(size)});
  if (count < 0 && must_wait()) BIO_set_retry_read(bio);
  return static_cast<int>(count);
}

int write_bio(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t count = socket_of(bio).write({bytes, static_cast<std::size_t>(size)});
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

bssl::UniquePtr<BIO> new_socket_bio(RecordSocket& socket) {
  static const bssl::UniquePtr<BIO_METHOD> method = make_method();
  if (!method) return nullptr;
  bssl::UniquePtr<BIO> bio(BIO_new(method.get()));
  if (!bio) return nullptr;
  BIO_set_data(bio.get(), &socket);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace sluice::net::aws_lc
