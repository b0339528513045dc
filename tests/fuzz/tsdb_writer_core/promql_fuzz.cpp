// Texts that claim to be PromQL: whatever they are, reading them ends, and what was read can be
// evaluated over a few series within its limits.

#include "../fuzz.h"
#include "core/promql/answer.h"
#include "core/promql/evaluator.h"
#include "core/promql/form.h"
#include "core/promql/parser.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice::tsdb::promql {
namespace {

class TwoSeries final : public SeriesSource {
 public:
  Result<std::vector<StoredSeries>> select(const std::vector<Matcher>& matchers,
                                           const Selection& selection) override {
    std::vector<StoredSeries> found;
    for (const char* device : {"a", "b"}) {
      StoredSeries series{.labels = LabelSet({{"__name__", "m"}, {"device", device}}),
                          .samples = {},
                          .rollups = {},
                          .bucket_ms = 0};
      for (const Matcher& matcher : matchers) static_cast<void>(matcher.matches(series.labels));
      for (std::int64_t i = 1; i < 8; ++i) {
        series.samples.push_back({selection.from_ms + i, static_cast<double>(i * i % 5)});
      }
      found.push_back(std::move(series));
    }
    return found;
  }
};

void read(std::string_view text) {
  Form form;
  static_cast<void>(form.add_encoded(text));
  static_cast<void>(form.step("step"));
  static_cast<void>(form.time("time", 0));
  static_cast<void>(parse_selector(text));
  const auto expr = parse_query(text);
  if (!expr) return;
  TwoSeries source;
  const Steps steps{.start_ms = 1'000'000, .end_ms = 1'002'000, .step_ms = 1'000};
  auto value = evaluate(**expr, steps, source, {.max_points = 100});
  if (!value) return;
  for (const Line& line : value->lines) {
    SLUICE_CHECK(line.values.size() == steps.count() && line.present.size() == steps.count());
  }
  std::size_t bytes = 0;
  const WritePiece write = [&](std::string_view piece) -> Result<> {
    bytes += piece.size();
    return {};
  };
  if (value->type != ValueType::kText) {
    SLUICE_CHECK(write_matrix(*std::move(value), steps, write).has_value());
    SLUICE_CHECK(bytes > 0);
  }
}

}  // namespace
}  // namespace sluice::tsdb::promql

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::tsdb::promql::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
