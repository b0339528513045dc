#include "stored_samples.h"

#include <algorithm>
#include <format>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace sluice::sim {

/// A message whose readings are to be found at a time.
struct StoredSamples::Expected {
  std::int64_t time_ms;
  std::uint32_t sequence;
};

struct StoredSamples::Point {
  std::int64_t time_ms;
  std::optional<double> value;  // truths as 0 and 1; nullopt: neither number nor truth
};

namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kBetweenQuestions(250);

std::optional<double> number_in(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number()) return value.get<double>();
  return std::nullopt;
}

void add_samples(Completeness& sum, const Completeness& more) {
  sum.samples_expected += more.samples_expected;
  sum.samples_stored += more.samples_stored;
  sum.samples_merged += more.samples_merged;
  sum.samples_copied += more.samples_copied;
  sum.samples_missing += more.samples_missing;
  sum.samples_wrong += more.samples_wrong;
  sum.samples_duplicated += more.samples_duplicated;
  sum.samples_foreign += more.samples_foreign;
  for (const std::string& example : more.examples) sum.add_example(example);
}

}  // namespace

StoredSamples::StoredSamples(const QueryOptions& options, const Fleet& fleet, const Roster& roster,
                             const Reconciler& reconciler, const Ledger& ledger, const Clock& clock)
    : options_(options),
      fleet_(fleet),
      roster_(roster),
      reconciler_(reconciler),
      ledger_(ledger),
      clock_(clock),
      http_(
          {.timeout = milliseconds(30'000), .max_response = 256_MiB, .ca_file = options.ca_file}) {}

Result<> StoredSamples::check(milliseconds patience, Completeness& sum) const {
  sum.has_samples = true;
  const MonoTime deadline = clock_.mono() + patience;
  for (std::uint32_t device = 0; device < roster_.size(); ++device) {
    while (true) {
      Completeness of_device;
      const Result<> asked = check_device(device, of_device);
      const bool is_late = clock_.mono() >= deadline;
      if (asked && (of_device.samples_missing == 0 || is_late)) {
        add_samples(sum, of_device);
        break;
      }
      if (!asked && (is_late || !is_retryable(asked.error().code()))) return fail(asked.error());
      std::this_thread::sleep_for(kBetweenQuestions);
    }
  }
  return {};
}

std::vector<StoredSamples::Expected> StoredSamples::expected_of(std::uint32_t device) const {
  std::vector<Expected> expected;
  ledger_.published[device].for_each([&](std::uint32_t sequence) {
    if (!reconciler_.is_valid(device, sequence)) return;
    expected.push_back({reconciler_.event_time_ms(device, sequence), sequence});
  });
  std::ranges::stable_sort(expected, {}, &Expected::time_ms);
  return expected;
}

Result<> StoredSamples::check_device(std::uint32_t device, Completeness& sum) const {
  const std::vector<Expected> expected = expected_of(device);
  // What an earlier run stored is before the start, where no message of this one can be.
  const std::int64_t from =
      expected.empty() ? fleet_.start_ms() : std::min(fleet_.start_ms(), expected.front().time_ms);
  const std::int64_t to =
      expected.empty() ? clock_.wall().time_since_epoch().count() : expected.back().time_ms + 1;
  const auto metrics = fleet_.metrics(device, 0);
  for (std::size_t metric = 0; metric < metrics.size(); ++metric) {
    SLUICE_TRY_ASSIGN(const auto points, ask(device, metrics[metric].name, from, to));
    compare(device, metric, expected, points, sum);
  }
  return {};
}

Result<std::vector<StoredSamples::Point>> StoredSamples::ask(std::uint32_t device,
                                                             std::string_view metric,
                                                             std::int64_t from_ms,
                                                             std::int64_t to_ms) const {
  std::vector<Point> points;
  for (std::optional<std::int64_t> from = from_ms; from && *from < to_ms;) {
    http::ClientRequest request{
        .url = std::format("{}/v1/devices/{}/metrics?metric={}&from={}&to={}&resolution=raw",
                           options_.url, roster_[device].id, metric, *from, to_ms)};
    if (!options_.key.empty()) request.headers.add("Authorization", "Bearer " + options_.key);
    SLUICE_TRY_ASSIGN(const http::ClientResponse answer, http_.send(request));
    // A device or a metric that the store has not seen yet has no samples.
    if (answer.status == 404) return points;
    const Json body = Json::parse(answer.body, nullptr, false);
    if (answer.status == 429 || answer.status == 503) {
      return fail(ErrorCode::kUnavailable, "the query API has no time");
    }
    if (answer.status != 200 || !body.is_object() || !body.contains("series")) {
      return fail(ErrorCode::kInternal,
                  std::format("the query API answered {}: {}", answer.status, answer.body));
    }
    from.reset();
    for (const Json& series : body["series"]) {
      for (const Json& point : series["points"]) {
        points.push_back({point.at(0).get<std::int64_t>(), number_in(point.at(1))});
      }
      if (series.contains("next_from")) from = series["next_from"].get<std::int64_t>();
    }
  }
  return points;
}

void StoredSamples::compare(std::uint32_t device, std::size_t metric,
                            const std::vector<Expected>& expected, const std::vector<Point>& points,
                            Completeness& sum) const {
  const auto name = [&](std::int64_t time_ms) {
    return std::format("{} of device {} at {}", fleet_.metrics(device, 0)[metric].name, device,
                       time_ms);
  };
  sum.samples_expected += expected.size();
  auto at = points.begin();
  std::optional<std::int64_t> last;
  const auto has_value_of = [&](std::uint32_t sequence) {
    return at->value == fleet_.metrics(device, sequence)[metric].value();
  };
  const auto is_copy = [&] {
    return std::ranges::any_of(reconciler_.copies(device), [&](const Reconciler::Copy& copy) {
      return copy.time_ms == at->time_ms && has_value_of(copy.sequence);
    });
  };
  const auto take_foreign = [&] {
    const bool is_twice = last == at->time_ms;
    if (!is_twice && is_copy()) {
      ++sum.samples_copied;
      last = at->time_ms;
      ++at;
      return;
    }
    ++(is_twice ? sum.samples_duplicated : sum.samples_foreign);
    sum.add_example(std::format("{} is stored {}", name(at->time_ms),
                                is_twice ? "twice" : "and nobody published it"));
    last = at->time_ms;
    ++at;
  };
  for (auto from = expected.begin(); from != expected.end();) {
    // Messages of one moment are one sample: whichever of them was stored.
    const auto until =
        std::ranges::upper_bound(from, expected.end(), from->time_ms, {}, &Expected::time_ms);
    while (at != points.end() && at->time_ms < from->time_ms) take_foreign();
    sum.samples_merged += static_cast<std::uint64_t>(until - from) - 1;
    if (at == points.end() || at->time_ms != from->time_ms) {
      ++sum.samples_missing;
      sum.add_example(name(from->time_ms) + " is not stored");
    } else {
      const bool is_right =
          std::any_of(from, until,
                      [&](const Expected& one) { return has_value_of(one.sequence); }) ||
          is_copy();
      ++(is_right ? sum.samples_stored : sum.samples_wrong);
      if (!is_right) sum.add_example(name(from->time_ms) + " has another value");
      last = at->time_ms;
      ++at;
    }
    from = until;
  }
  while (at != points.end()) take_foreign();
}

}  // namespace sluice::sim
