// Preloaded into a program, makes one file system fail for it as a broken disk does; README.md says
// how. Everything is passed on to the C library until the file that orders a failure is there.

// With it the headers call open() and its like open64(), the same functions on the machines we run
// on. Servers ask for the plain names.
#undef _FILE_OFFSET_BITS

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

constexpr char kFsync[] = "fsync";
constexpr char kReadOnly[] = "read-only";

// Calls of the C library that ours stand before.
template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

/// The folder whose file system fails; empty: none was named. A copy, because servers write over
/// their environment to show what they do.
const std::string& folder() {
  static const std::string name = [] {
    const char* const given = std::getenv("SLUICE_FAILING_DISK");
    return std::string(given == nullptr ? "" : given);
  }();
  return name;
}

/// Whether `{folder}.fails` orders this failure now. Asked anew each time, because a server cannot
/// be told otherwise; errno stays as it was.
bool fails(const char* what) {
  if (folder().empty()) return false;
  const int kept = errno;
  char path[PATH_MAX];
  char ordered[16] = {};
  std::snprintf(path, sizeof path, "%s.fails", folder().c_str());
  static const auto real_open = next<int (*)(const char*, int, ...)>("open");
  const int file = real_open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    const auto size = read(file, ordered, sizeof ordered - 1);
    if (size >= 0) ordered[size] = '\0';
    close(file);
  }
  errno = kept;
  return std::strncmp(ordered, what, std::strlen(what)) == 0;
}

bool is_on_disk(const struct stat& file) {
  struct stat disk{};
  return S_ISREG(file.st_mode) && stat(folder().c_str(), &disk) == 0 && file.st_dev == disk.st_dev;
}

/// Refuses a call on `file` with `error` where a failure `what` is ordered.
bool refuses(const char* what, int file, int error) {
  if (!fails(what)) return false;
  struct stat status{};
  if (fstat(file, &status) != 0 || !is_on_disk(status)) return false;
  errno = error;
  return true;
}

bool refuses_to_open(int at, const char* path, int flags) {
  if ((flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) == 0 || !fails(kReadOnly)) return false;
  struct stat status{};
  // A file to be made has no status; on which disk it would be does not matter to a server that has
  // all its files in the folder.
  if (fstatat(at, path, &status, 0) == 0 && !is_on_disk(status)) return false;
  errno = EROFS;
  return true;
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming,cert-dcl50-cpp): names and forms of the C library.
extern "C" {

int fsync(int file) {
  static const auto real = next<int (*)(int)>("fsync");
  if (refuses(kFsync, file, EIO) || refuses(kReadOnly, file, EROFS)) return -1;
  return real(file);
}

int fdatasync(int file) {
  static const auto real = next<int (*)(int)>("fdatasync");
  if (refuses(kFsync, file, EIO) || refuses(kReadOnly, file, EROFS)) return -1;
  return real(file);
}

ssize_t write(int file, const void* bytes, size_t size) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  return refuses(kReadOnly, file, EROFS) ? -1 : real(file, bytes, size);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return refuses(kReadOnly, file, EROFS) ? -1 : real(file, bytes, size, offset);
}

ssize_t pwritev(int file, const struct iovec* parts, int count, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const struct iovec*, int, off_t)>("pwritev");
  return refuses(kReadOnly, file, EROFS) ? -1 : real(file, parts, count, offset);
}

int ftruncate(int file, off_t size) noexcept {
  static const auto real = next<int (*)(int, off_t)>("ftruncate");
  return refuses(kReadOnly, file, EROFS) ? -1 : real(file, size);
}

int posix_fallocate(int file, off_t offset, off_t size) {
  static const auto real = next<int (*)(int, off_t, off_t)>("posix_fallocate");
  return refuses(kReadOnly, file, EROFS) ? EROFS : real(file, offset, size);
}

int open(const char* path, int flags, ...) {
  static const auto real = next<int (*)(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return refuses_to_open(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming,cert-dcl50-cpp)
