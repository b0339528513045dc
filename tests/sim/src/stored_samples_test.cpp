#include "stored_samples.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/random.h>
#include <sluice/http/router.h>
#include <sluice/http/server.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace sluice::sim {
namespace {

using Json = nlohmann::json;

/// A query API over what a test puts into it: raw points of (device, metric), two an answer.
class FakeQueryApi {
 public:
  FakeQueryApi() {
    http::Router router;
    router.get(
        "/v1/devices/{device_id}/metrics", http::Access::open(),
        [this](const http::Request& request) -> Result<http::Response> { return answer(request); });
    http::Config config;
    config.listen = "127.0.0.1:0";
    server_.emplace(config, std::move(router), clock_, random_,
                    Logger("query", LogLevel::kError, clock_, make_fd_log_sink(STDERR_FILENO)),
                    registry_);
    url_ = "http://" + server_->start().value();
  }

  const std::string& url() const { return url_; }
  std::map<std::pair<std::string, std::string>, std::vector<std::pair<std::int64_t, Json>>> points;

 private:
  static std::string text(const http::Request& request, std::string_view name) {
    for (const auto& [key, value] : request.query) {
      if (key == name) return value;
    }
    return {};
  }
  Result<http::Response> answer(const http::Request& request) const {
    const std::string metric = text(request, "metric");
    const auto found = points.find({request.param("device_id"), metric});
    if (found == points.end() || text(request, "resolution") != "raw") {
      return http::Response::json(Json{{"series", Json::array()}}, 404);
    }
    Json series{{"metric", metric}, {"points", Json::array()}};
    for (const auto& [time_ms, value] : found->second) {
      if (time_ms < std::stoll(text(request, "from")) || time_ms >= std::stoll(text(request, "to")))
        continue;
      if (series["points"].size() >= 2 && series["points"].back()[0] != time_ms) {
        series["next_from"] = time_ms;
        break;
      }
      series["points"].push_back(Json::array({time_ms, value}));
    }
    return http::Response::json(Json{{"series", Json::array({series})}});
  }

  SystemClock clock_;
  SystemRandom random_;
  Registry registry_;
  std::optional<http::Server> server_;
  std::string url_;
};

class StoredSamplesTest : public ::testing::Test {
 protected:
  StoredSamplesTest()
      : roster({{.profile = Profile::kSensor, .tenant = "t", .id = "d"}}),
        fleet({.bad_share = 0}, roster.profiles(), 1'790'000'000'000),
        ledger(1),
        reconciler(fleet, ledger) {
    for (std::uint32_t sequence = 0; sequence < kMessages; ++sequence) {
      ledger.published[0].insert(sequence);
      reconciler.on_raw(0, sequence, id(sequence));
    }
    reconciler.on_raw(0, 3, kCopyOf3);
    reconciler.close_raw();
    for (std::uint32_t sequence = 0; sequence < kMessages; ++sequence) {
      reconciler.on_valid(id(sequence), 0, fleet.device_time_ms(0, sequence));
      for (const Metric& metric : fleet.metrics(0, sequence)) {
        const Json value =
            metric.kind == Metric::Kind::kFlag ? Json(metric.mantissa != 0) : Json(metric.value());
        api.points[{"d", std::string(metric.name)}].emplace_back(fleet.device_time_ms(0, sequence),
                                                                 value);
      }
    }
  }

  static std::string id(std::uint32_t sequence) {
    std::string text = std::to_string(sequence);
    text.resize(16, '.');
    return text;
  }
  std::vector<std::pair<std::int64_t, Json>>& temperatures() {
    return api.points[{"d", "temperature_c"}];
  }
  Completeness check() {
    Completeness sum;
    const StoredSamples samples({.url = api.url(), .ca_file = {}, .key = {}}, fleet, roster,
                                reconciler, ledger, clock);
    const Result<> checked = samples.check(std::chrono::milliseconds(0), sum);
    EXPECT_TRUE(checked) << checked.error().message();
    return sum;
  }

  static constexpr std::uint32_t kMessages = 7;
  static constexpr std::string_view kCopyOf3 = "copy of message3";
  SystemClock clock;
  FakeQueryApi api;
  Roster roster;
  Fleet fleet;
  Ledger ledger;
  Reconciler reconciler;
};

TEST_F(StoredSamplesTest, ACopyWhoseTimeWasNotBelievedMayBeStoredUnderAnother) {
  const std::int64_t time_ms = fleet.device_time_ms(0, 3) + 5;
  temperatures().emplace(temperatures().begin() + 4, time_ms, temperatures()[3].second);
  EXPECT_EQ(check().samples_foreign, 1U);
  reconciler.on_valid(kCopyOf3, 0, time_ms);
  const Completeness sum = check();
  EXPECT_EQ(sum.samples_copied, 1U);
  EXPECT_TRUE(sum.is_complete());
}

TEST_F(StoredSamplesTest, EverySampleOfEveryMetricIsLookedAt) {
  const Completeness sum = check();
  EXPECT_TRUE(sum.is_complete());
  EXPECT_EQ(sum.samples_expected, kMessages * kMetrics);
  EXPECT_EQ(sum.samples_stored, kMessages * kMetrics);
}

TEST_F(StoredSamplesTest, FindsAMissingOne) {
  temperatures().erase(temperatures().begin() + 3);
  const Completeness sum = check();
  EXPECT_EQ(sum.samples_missing, 1U);
  EXPECT_FALSE(sum.is_complete());
  ASSERT_EQ(sum.examples.size(), 1U);
  EXPECT_TRUE(sum.examples[0].starts_with("temperature_c of device 0 at ")) << sum.examples[0];
}

TEST_F(StoredSamplesTest, AStoreThatNeverHeardOfTheDeviceHasNothing) {
  api.points.clear();
  EXPECT_EQ(check().samples_missing, kMessages * kMetrics);
}

TEST_F(StoredSamplesTest, FindsAnotherValue) {
  temperatures()[2].second = temperatures()[2].second.get<double>() + 1e-9;
  EXPECT_EQ(check().samples_wrong, 1U);
}

TEST_F(StoredSamplesTest, FindsOneThatIsStoredTwice) {
  temperatures().insert(temperatures().begin() + 4, temperatures()[4]);
  EXPECT_EQ(check().samples_duplicated, 1U);
}

TEST_F(StoredSamplesTest, FindsOneThatNobodyPublished) {
  auto foreign = temperatures()[4];
  ++foreign.first;
  temperatures().insert(temperatures().begin() + 5, foreign);
  EXPECT_EQ(check().samples_foreign, 1U);
}

}  // namespace
}  // namespace sluice::sim
