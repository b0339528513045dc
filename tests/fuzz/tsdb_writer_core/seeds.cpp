// What the targets of this folder begin with: queries that use all of the subset, and blocks.

#include "core/rollup/rollup_block.h"

#include <cstdio>
#include <filesystem>
#include <format>
#include <fstream>
#include <string>
#include <string_view>

namespace sluice::tsdb {
namespace {

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
  }
  void write(std::string_view bytes) {
    std::ofstream file(path_ / std::format("seed_{:03}", number_++), std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::filesystem::path path_;
  int number_ = 0;
};

void write_queries(Folder& folder) {
  for (const char* query :
       {"1 + 2 * 3 ^ -2 % 4 / 0x1f", R"(m{device=~"a|b",x!="y",z!~`q.*`} offset -5m)",
        "sum by (device) (rate(m[1h30m]))", "topk(3, m) without (device)",
        "quantile(0.9, m) > bool 1", "quantile_over_time(0.5, {\"m.n\"}[5s] offset 1d)",
        "m / on(device) m", "m - ignoring(x) abs(-m)", "vector(time()) == 1.5e3",
        R"({__name__="\x41\u00e4\n'"} # a comment)", "query=a%20b&step=15s&time=1.5&start=NaN"}) {
    folder.write(query);
  }
}

void write_blocks(Folder& folder) {
  for (std::uint32_t count : {1U, 7U, 60U}) {
    RollupBlock block;
    for (std::uint32_t i = 0; i < count; ++i) {
      auto& rollup = block[{MetricKey(static_cast<std::int32_t>(1 + i % 3 * 1'000)), i}];
      for (std::uint32_t j = 0; j <= i; ++j) rollup.add(i * 1'000 + j, 0.1 * j - i);
    }
    std::vector<std::byte> bytes;
    encode_rollup_block(block, bytes);
    folder.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
}

}  // namespace
}  // namespace sluice::tsdb

int main(int argc, char** argv) {
  using namespace sluice::tsdb;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::filesystem::path root = argv[1];
  Folder queries(root / "promql");
  write_queries(queries);
  Folder blocks(root / "rollup_block");
  write_blocks(blocks);
  return 0;
}
