#include "ops_routes.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::service {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

/// A service in some state, and what was asked of it.
struct Service {
  ReadinessReport report{.is_ready = true, .state = "serving", .checks = {{"postgres", true}}};
  bool is_started = true;
  int drains = 0;
  Secret token;
  std::vector<OpsPage> pages{
      {.path = "/open", .needs_token = false, .answer = [] { return plain(200, "open"); }},
      {.path = "/closed", .answer = [] { return plain(200, "closed"); }}};

  OpsResponse ask(std::string method, std::string path,
                  std::vector<std::pair<std::string, std::string>> headers = {},
                  bool from_loopback = true) {
    const OpsActions actions{.readiness = [&] { return report; },
                             .is_started = [&] { return is_started; },
                             .metrics = [] { return std::string("metrics\n"); },
                             .config = [] { return std::string("{}\n"); },
                             .drain = [&] { ++drains; },
                             .find_page =
                                 [&](std::string_view wanted) {
                                   const auto found =
                                       std::ranges::find(pages, wanted, &OpsPage::path);
                                   return found == pages.end() ? nullptr : &*found;
                                 },
                             .show_page = [](const OpsPage& page) { return page.answer(); }};
    return answer({.method = std::move(method),
                   .path = std::move(path),
                   .headers = std::move(headers),
                   .peer_is_loopback = from_loopback},
                  token, actions);
  }
  int status(std::string method, std::string path,
             std::vector<std::pair<std::string, std::string>> headers = {},
             bool from_loopback = true) {
    return ask(std::move(method), std::move(path), std::move(headers), from_loopback).status;
  }
};

TEST(OpsRoutes, LiveMeansAliveAndNothingMore) {
  Service service;
  service.report.is_ready = false;
  service.is_started = false;
  EXPECT_EQ(service.status("GET", "/livez"), 200);
}

TEST(OpsRoutes, StartedTurnsOnce) {
  Service service;
  service.is_started = false;
  EXPECT_EQ(service.status("GET", "/startupz"), 503);
  service.is_started = true;
  EXPECT_EQ(service.status("GET", "/startupz"), 200);
}

TEST(OpsRoutes, ReadyListsTheChecksWithTheirReasons) {
  Service service;
  service.report = {.is_ready = false,
                    .state = "serving",
                    .checks = {{"kafka", true}, {"postgres", false, "connect: refused \xFF"}}};
  const OpsResponse response = service.ask("GET", "/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(nlohmann::json::parse(response.body),
            nlohmann::json::parse(R"({"ready": false, "state": "serving", "checks": [
              {"name": "kafka", "ready": true},
              {"name": "postgres", "ready": false, "reason": "connect: refused \ufffd"}]})"));
}

TEST(OpsRoutes, ReadyIs200WhenReady) { EXPECT_EQ(Service().status("GET", "/readyz"), 200); }

TEST(OpsRoutes, ProbesAreOpenToEverybody) {
  Service service;
  service.token = Secret("token");
  for (const char* path : {"/livez", "/readyz", "/startupz"}) {
    EXPECT_EQ(service.status("GET", path, {}, false), 200) << path;
  }
}

TEST(OpsRoutes, TheRestAsksForTheTokenFromThisMachineToo) {
  Service service;
  service.token = Secret("right-token");
  const auto with = [&](std::string value) {
    return service.status("GET", "/metrics", {{"authorization", std::move(value)}}, false);
  };
  EXPECT_EQ(with("Bearer right-token"), 200);
  EXPECT_EQ(with("Bearer right-toke"), 401);
  EXPECT_EQ(with("Bearer right-token "), 401);
  EXPECT_EQ(with("Bearer "), 401);
  EXPECT_EQ(with("Basic right-token"), 401);
  EXPECT_EQ(with("right-token"), 401);
  EXPECT_EQ(service.status("GET", "/metrics"), 401);
  EXPECT_EQ(service.status("GET", "/config"), 401);
  EXPECT_EQ(service.status("POST", "/drain"), 401);
  EXPECT_EQ(service.drains, 0);
  EXPECT_THAT(service.ask("GET", "/config").headers,
              Contains(Pair("WWW-Authenticate", HasSubstr("Bearer"))));
}

TEST(OpsRoutes, TwoCredentialsAreNone) {
  Service service;
  service.token = Secret("t");
  EXPECT_EQ(service.status("GET", "/metrics",
                           {{"authorization", "Bearer t"}, {"authorization", "Bearer x"}}),
            401);
}

TEST(OpsRoutes, WithoutATokenOnlyThisMachineIsServed) {
  Service service;
  EXPECT_EQ(service.status("GET", "/metrics", {}, true), 200);
  EXPECT_EQ(service.status("GET", "/metrics", {}, false), 403);
  EXPECT_EQ(service.status("GET", "/config", {}, false), 403);
  EXPECT_EQ(service.status("POST", "/drain", {}, false), 403);
  EXPECT_EQ(service.drains, 0);
}

TEST(OpsRoutes, WithoutATokenNoWebPageOnThisMachineIsServed) {
  Service service;
  EXPECT_EQ(service.status("POST", "/drain", {{"origin", "https://evil.example"}}), 403);
  EXPECT_EQ(service.status("GET", "/config", {{"sec-fetch-site", "cross-site"}}), 403);
  EXPECT_EQ(service.status("GET", "/config", {{"host", "evil.example:8081"}}), 403);
  EXPECT_EQ(service.status("GET", "/config", {{"host", "127.evil.example"}}), 403);
  EXPECT_EQ(
      service.status("GET", "/config", {{"host", "127.0.0.1:8081"}, {"sec-fetch-site", "none"}}),
      200);
  EXPECT_EQ(service.status("GET", "/config", {{"host", "localhost:8081"}}), 200);
  EXPECT_EQ(service.status("GET", "/config", {{"host", "[::1]:8081"}}), 200);
  EXPECT_EQ(service.drains, 0);
}

TEST(OpsRoutes, DrainIsAskedForAndAcceptedAtOnce) {
  Service service;
  service.report.state = "draining";
  const OpsResponse response = service.ask("POST", "/drain");
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(service.drains, 1);
  EXPECT_THAT(response.body, HasSubstr("draining"));
}

TEST(OpsRoutes, OtherPathsAndMethodsAreRefused) {
  Service service;
  EXPECT_EQ(service.status("GET", "/"), 404);
  EXPECT_EQ(service.status("GET", "/livez/"), 404);
  EXPECT_EQ(service.status("GET", "/drain"), 405);
  EXPECT_EQ(service.status("HEAD", "/drain"), 405);
  EXPECT_EQ(service.status("POST", "/metrics"), 405);
  EXPECT_EQ(service.status("HEAD", "/livez"), 200);
  EXPECT_THAT(service.ask("DELETE", "/livez").headers, Contains(Pair("Allow", "GET, HEAD")));
  EXPECT_EQ(service.drains, 0);
}

TEST(OpsRoutes, WithoutATokenOurOwnPageOnThisMachineIsServed) {
  Service service;
  const auto from = [&](std::string host, bool from_loopback) {
    return service.status("GET", "/closed",
                          {{"host", std::move(host)}, {"sec-fetch-site", "same-origin"}},
                          from_loopback);
  };
  EXPECT_EQ(from("127.0.0.1:8081", true), 200);
  EXPECT_EQ(from("evil.example:8081", true), 403);
  EXPECT_EQ(from("127.0.0.1:8081", false), 403);
  EXPECT_EQ(service.status("GET", "/closed", {{"sec-fetch-site", "same-site"}}), 403);
  EXPECT_EQ(
      service.status("POST", "/drain",
                     {{"origin", "http://127.0.0.1:8081"}, {"sec-fetch-site", "same-origin"}}),
      403);
}

TEST(OpsRoutes, PagesAskForTheTokenUnlessTheySayOtherwise) {
  Service service;
  service.token = Secret("right-token");
  EXPECT_EQ(service.status("GET", "/open", {}, false), 200);
  EXPECT_EQ(service.status("GET", "/closed", {}, false), 401);
  EXPECT_EQ(service.status("GET", "/closed", {{"authorization", "Bearer wrong"}}), 401);
  EXPECT_EQ(service.ask("GET", "/closed", {{"authorization", "Bearer right-token"}}).body,
            "closed\n");
  EXPECT_EQ(service.status("POST", "/open"), 405);
}

TEST(OpsRoutes, LabelsAreOfKnownPathsAlone) {
  Service service;
  const auto label = [&](std::string path) {
    const OpsResponse response = service.ask("GET", path);
    return std::string(
        path_label({.method = "GET", .path = std::move(path), .headers = {}}, response));
  };
  EXPECT_EQ(label("/livez"), "/livez");
  EXPECT_EQ(label("/closed"), "/closed");
  EXPECT_EQ(label("/livez/17"), "other");
}

}  // namespace
}  // namespace sluice::service
