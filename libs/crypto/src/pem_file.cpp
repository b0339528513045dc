#include <sluice/crypto/pem_file.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>
#include <utility>

#include <sys/stat.h>

namespace sluice::crypto {
namespace {

// A chain or a CA bundle has a few KiB; more is the wrong file.
constexpr std::size_t kMaxFileSize = 1 << 20;

}  // namespace

Error pem_file_fault(std::string setting, const std::string& path, const std::string& what) {
  return Error(ErrorCode::kFailedPrecondition, std::format("{} {}: {}", setting, path, what))
      .with_fault(std::move(setting), what);
}

Result<std::string> read_pem_file(const std::string& setting, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(pem_file_fault(setting, path, std::strerror(errno)));
  std::string out(kMaxFileSize + 1, '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  if (in.bad()) return fail(pem_file_fault(setting, path, "cannot be read"));
  out.resize(static_cast<std::size_t>(in.gcount()));
  if (out.empty()) return fail(pem_file_fault(setting, path, "is empty"));
  if (out.size() > kMaxFileSize) {
    return fail(pem_file_fault(setting, path, "is larger than 1 MiB"));
  }
  return out;
}

std::string stamp_of_files(std::initializer_list<const std::string*> paths) {
  std::string out;
  for (const std::string* path : paths) {
    struct stat info{};
    if (stat(path->c_str(), &info) != 0) {
      out += "absent;";
      continue;
    }
    out += std::format("{}:{}:{}:{}.{};", info.st_dev, info.st_ino, info.st_size,
                       info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  return out;
}

}  // namespace sluice::crypto
