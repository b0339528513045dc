#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::testing {

/// A new empty folder (mode 0700) under the system's temporary folder, removed with all its content
/// when this ends.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Writes a file in the folder, making the folders between; gives its path.
  std::filesystem::path write(std::string_view relative_path, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

/// The whole content of a file; throws when it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace sluice::testing
