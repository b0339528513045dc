#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::validator {

/// What comes of one record, as bytes that are ready to be sent. Reused from record to record.
class Outputs {
 public:
  enum class Kind : std::uint8_t { kValid, kRejected };
  struct Output {
    Kind kind = Kind::kValid;
    std::string_view bytes{};
  };

  void clear() {
    parts_.clear();
    bytes_.clear();
    // The room of an uncommonly large record is not kept for ever.
    if (bytes_.capacity() > kMaxKept) std::string().swap(bytes_);
  }
  /// Where the next output is to be appended; end() takes what was.
  std::string& buffer() { return bytes_; }
  void end(Kind kind) {
    const std::size_t begin = parts_.empty() ? 0 : parts_.back().end;
    parts_.push_back({.begin = begin, .end = bytes_.size(), .kind = kind});
  }

  std::size_t size() const { return parts_.size(); }
  Output operator[](std::size_t index) const {
    const Part& part = parts_[index];
    return {.kind = part.kind,
            .bytes = std::string_view(bytes_).substr(part.begin, part.end - part.begin)};
  }

 private:
  struct Part {
    std::size_t begin = 0;
    std::size_t end = 0;
    Kind kind = Kind::kValid;
  };

  static constexpr std::size_t kMaxKept = 4 * 1024 * 1024;

  std::vector<Part> parts_;
  std::string bytes_;
};

}  // namespace sluice::validator
