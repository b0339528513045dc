#include "socket_bio.h"

#include <cerrno>

namespace sluice::net {
namespace {

RecordSocket& socket_of(BIO* bio) { return *static_cast<RecordSocket*>(BIO_get_data(bio)); }

bool must_wait() { return errno == EAGAIN || errno == EINTR; }

int read_bio(BIO* bio, char* out, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  const ssize_t count = socket_of(bio).read({out, size});
  *got = count > 0 ? static_cast<std::size_t>(count) : 0;
  if (count >= 0) return count > 0 ? 1 : 0;
  if (must_wait()) BIO_set_retry_read(bio);
  return -1;
}

int write_bio(BIO* bio, const char* bytes, std::size_t size, std::size_t* put) {
  BIO_clear_retry_flags(bio);
  const ssize_t count = socket_of(bio).write({bytes, size});
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

BioPtr new_socket_bio(RecordSocket& socket) {
  static const MethodPtr method = make_method();
  if (!method) return nullptr;
  BioPtr bio(BIO_new(method.get()));
  if (!bio) return nullptr;
  BIO_set_data(bio.get(), &socket);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace sluice::net
