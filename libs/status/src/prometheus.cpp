#include "prometheus.h"

#include <cctype>
#include <cstdint>
#include <format>
#include <utility>

namespace sluice::status {
namespace {

using namespace std::chrono_literals;

/// Longer than a healthy Prometheus takes for any of our queries by two orders of magnitude, and
/// short enough for a page to say soon that it does not answer.
constexpr auto kDeadline = 3s;
/// 64 lines of 150 points with names are some 400 KB.
constexpr Bytes kMaxAnswer = 1_MiB;

/// How long the last value of what is not scraped any more counts, in scrapes. Without it the usual
/// five minutes: pods that Prometheus did not see go, since it was away itself, would be summed
/// with those that came after them.
constexpr std::int64_t kLookBackSteps = 4;

/// As HTML forms write it.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += std::isalnum(byte) != 0 ? std::string(1, c) : std::format("%{:02X}", byte);
  }
  return out;
}

std::string seconds(std::int64_t ms) { return std::format("{}.{:03}", ms / 1000, ms % 1000); }

std::string without_last_slash(std::string url) {
  if (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

Prometheus::Prometheus(std::string url)
    : url_(without_last_slash(std::move(url))),
      // In a cluster it is usually reached without TLS; what it says is figures, which the page
      // shows and nothing believes.
      client_({.connect_timeout = 1s,
               .timeout = kDeadline,
               .max_response = kMaxAnswer,
               .allow_plaintext = true}) {}

Result<std::string> Prometheus::query_range(const std::string& query, const TimeGrid& grid) const {
  http::ClientRequest request{.method = "POST", .url = url_ + "/api/v1/query_range"};
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.body =
      std::format("query={}&start={}&end={}&step={}&lookback_delta={}&timeout=2s",
                  percent_encoded(query), seconds(grid.first_ms), seconds(grid.last_ms()),
                  seconds(grid.step_ms), seconds(kLookBackSteps * grid.step_ms));
  SLUICE_TRY_ASSIGN(http::ClientResponse response, client_.send(request));
  if (response.status != 200) {
    return fail(ErrorCode::kUnavailable, std::format("it answers with status {}", response.status));
  }
  return std::move(response.body);
}

}  // namespace sluice::status
