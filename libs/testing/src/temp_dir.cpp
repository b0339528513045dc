#include <sluice/testing/temp_dir.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace sluice::testing {

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
  }
  path_ = name;
}

TempDir::~TempDir() {
  // What cannot be removed is left behind: a test has nothing better to do about it.
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path TempDir::write(std::string_view relative_path,
                                     std::string_view content) const {
  const std::filesystem::path path = path_ / relative_path;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
  return path;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  std::string content(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) throw std::runtime_error("cannot read " + path.string());
  return content;
}

}  // namespace sluice::testing
