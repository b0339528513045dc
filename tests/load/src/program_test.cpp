#include "program.h"

#include "null_sink.h"
#include "workers.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <sluice/base/clock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace sluice::load {

namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// A null sink in a thread of its own, and the program pointed at it.
class Sink {
 public:
  explicit Sink(const Words& options = {}) {
    prepare_process();
    const auto parsed = parse_options(Words{"null-sink", "--port", "0"} + options);
    EXPECT_TRUE(parsed);
    auto made = NullSink::make(parsed.value());
    EXPECT_TRUE(made) << made.error().message();
    sink_ = std::move(made.value());
    thread_ = std::jthread([this](std::stop_token stop) { sink_->run(std::move(stop)); });
  }

  Outcome load(const Words& words) const {
    return run_program(words + Words{"--port", std::to_string(sink_->port()), "--json"}, clock_);
  }
  std::uint16_t port() const { return sink_->port(); }
  /// Of a run that must have gone well.
  json figures(const Words& words) const {
    const Outcome outcome = load(words);
    EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
    return json::parse(outcome.out);
  }

 private:
  SystemClock clock_;
  std::unique_ptr<NullSink> sink_;
  std::jthread thread_;  // last: ends before the sink does
};

/// Every message came to an end as the QoS wants it.
class Publishing : public ::testing::TestWithParam<Words> {};

TEST_P(Publishing, IsAnsweredToTheLastMessage) {
  const Sink sink;
  const json figures = sink.figures(Words{"pub", "--pubs", "20", "--count", "2001"} + GetParam());
  EXPECT_EQ(figures["sent"], 2001);
  const bool has_answers = !GetParam().empty() && GetParam()[1] != "0";
  EXPECT_EQ(figures["acked"], has_answers ? 2001 : 0);
  EXPECT_EQ(figures.contains("ack_p999_us"), has_answers);
  EXPECT_TRUE(figures["failures"].empty()) << figures;
}

INSTANTIATE_TEST_SUITE_P(
    Every, Publishing,
    ::testing::Values(Words{"--qos", "0"}, Words{"--qos", "0", "--batch", "32", "--mqtt", "5"},
                      Words{"--qos", "1"}, Words{"--qos", "1", "--mqtt", "5"},
                      Words{"--qos", "1", "--mqtt", "3", "--user", "u%d", "--password", "p"},
                      Words{"--qos", "1", "--window", "32", "--batch", "16"},
                      Words{"--qos", "1", "--rate", "20000"},
                      Words{"--qos", "1", "--rate", "20000", "--window", "8", "--batch", "4"},
                      Words{"--qos", "2", "--window", "4", "--batch", "2"},
                      Words{"--qos", "2", "--mqtt", "5"},
                      Words{"--qos", "1", "--threads", "3", "--size", "70000"}));

TEST(Program, ReadsTheServersCpu) {
  const Sink sink;
  const json figures =
      sink.figures({"pub", "--pubs", "2", "--count", "100", "--pid", std::to_string(getpid())});
  EXPECT_TRUE(figures.contains("cpu_seconds_per_million"));
  const Outcome wrong = sink.load({"pub", "--pid", "999999999"});
  EXPECT_EQ(wrong.status, 3);
  EXPECT_TRUE(wrong.err.contains("999999999"));
}

TEST(Program, DeliversToSubscribers) {
  const Sink sink({"--forward"});
  const json figures =
      sink.figures({"pubsub", "--qos", "0", "--pubs", "10", "--count", "500", "--rate", "20000"});
  EXPECT_EQ(figures["received"], 500);
  EXPECT_TRUE(figures.contains("delivery_p50_us"));
}

TEST(Program, CountsWhatIsNotDelivered) {
  const Sink sink;
  const json figures = sink.figures({"pubsub", "--qos", "0", "--pubs", "2", "--count", "10"});
  EXPECT_EQ(figures["received"], 0);
  EXPECT_EQ(figures["failures"]["not_delivered"], 10);
}

TEST(Program, HoldsConnections) {
  const Sink sink;
  const json figures = sink.figures({"conn", "--n", "300", "--inflight", "32", "--hold", "0",
                                     "--sources", "3", "--pid", std::to_string(getpid())});
  EXPECT_EQ(figures["opened"], 300);
  EXPECT_TRUE(figures.contains("bytes_per_connection"));
  EXPECT_TRUE(figures.contains("cpu_us_per_connection"));
}

TEST(Program, ClientsThatAreHeldPing) {
  const Sink sink;
  const json figures =
      sink.figures({"conn", "--n", "20", "--pings", "5", "--hold", "0.5", "--threads", "2"});
  EXPECT_EQ(figures["held"], 20);
  EXPECT_TRUE(figures.contains("ping_p99_us"));
  EXPECT_TRUE(figures["failures"].empty()) << figures;
}

TEST(Program, ClientsThatAreLostWhileTheyAreHeldAreMissed) {
  const Sink sink({"--fault", "hang-up"});
  const Outcome outcome = sink.load({"conn", "--n", "20", "--pings", "1", "--hold", "0.1"});
  EXPECT_EQ(outcome.status, 1);
  const json figures = json::parse(outcome.out);
  EXPECT_EQ(figures["held"], 19);
  EXPECT_EQ(figures["failures"]["ping_unanswered"], 1);
}

TEST(Program, ChurnsThroughFewPlaces) {
  const Sink sink;
  EXPECT_EQ(sink.figures({"conn", "--n", "300", "--inflight", "8", "--churn"})["opened"], 300);
  EXPECT_EQ(sink.figures({"conn", "--n", "3", "--inflight", "8", "--churn"})["opened"], 3);
}

TEST(Program, BringsACrowdBackWhileDevicesPublish) {
  const Sink sink;
  const json figures =
      sink.figures({"storm", "--pubs", "10", "--rate", "2000", "--window", "4", "--n", "200",
                    "--inflight", "64", "--before", "0.1", "--threads", "2"});
  EXPECT_EQ(figures["dropped"], 200);
  for (const char* const key :
       {"ack_before_p99_us", "ack_cut_p99_us", "ack_during_p99_us", "ack_p99_growth_us",
        "connack_p99_us", "generator_lag_p99_us", "crowd_lag_p99_us", "devices_scheduled"}) {
    EXPECT_TRUE(figures.contains(key)) << key;
  }
  EXPECT_EQ(figures["refused"], 0);
  EXPECT_TRUE(figures["failures"].empty()) << figures;
}

TEST(Program, ACrowdMayStormAnotherServer) {
  const Sink sink, other({"--fault", "busy"});
  const json figures =
      sink.figures({"storm", "--pubs", "1", "--rate", "1000", "--n", "40", "--before", "0",
                    "--mqtt", "5", "--crowd-port", std::to_string(other.port())});
  EXPECT_EQ(figures["dropped"], 40);
  EXPECT_GE(figures["refused"], 39);
}

TEST(Program, ServersThatRefuseAreCountedByReason) {
  const Sink sink({"--fault", "refuse"});
  const Outcome outcome = sink.load({"conn", "--n", "20", "--mqtt", "5"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(json::parse(outcome.out)["failures"]["refused_not_authorized"], 20);
  EXPECT_EQ(sink.load({"pub", "--pubs", "2"}).status, 1);
  EXPECT_EQ(sink.load({"conn", "--n", "20", "--churn"}).status, 1);
}

TEST(Program, ACrowdThatIsRefusedComesAgain) {
  const Sink sink({"--fault", "busy"});
  const json figures = sink.figures(
      {"storm", "--pubs", "4", "--rate", "1000", "--n", "40", "--before", "0", "--mqtt", "5"});
  EXPECT_EQ(figures["dropped"], 40);
  // Every second client: those that came before the storm are not counted.
  EXPECT_GE(figures["failures"]["refused_server_busy"], 39);
  EXPECT_EQ(figures["refused"], figures["failures"]["refused_server_busy"]);
}

TEST(Program, AServerWithALimitResetsWhoIsTooMany) {
  const Sink sink({"--limit", "1"});
  const json figures = sink.figures({"conn", "--n", "100", "--hold", "0"});
  EXPECT_LT(figures["opened"], 100);
  EXPECT_EQ(figures["opened"].get<int>() + figures["failures"].value("tcp_reset", 0), 100);
}

TEST(Program, WhatWasUnderWayWhenTheServerLeftIsUnanswered) {
  const Sink sink({"--fault", "hang-up"});
  const Outcome outcome = sink.load({"pub", "--pubs", "3", "--count", "10"});
  EXPECT_EQ(outcome.status, 1);
  const json failures = json::parse(outcome.out)["failures"];
  EXPECT_EQ(failures.value("lost_closed_by_server", 0) + failures.value("lost_tcp_reset", 0), 3);
  EXPECT_EQ(failures.value("unanswered", 0), 3);
  EXPECT_EQ(failures.value("not_sent", 0), 7);
}

TEST(Program, AServerThatIsNotThereIsCounted) {
  std::uint16_t port = 0;
  {
    const auto options = parse_options(Words{"null-sink", "--port", "0"});
    port = NullSink::make(options.value()).value()->port();
  }
  const SystemClock clock;
  const Words words{"conn", "--n", "5", "--json", "--port", std::to_string(port)};
  const Outcome outcome = run_program(words, clock);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(json::parse(outcome.out)["failures"]["tcp_refused"], 5);
}

TEST(Program, AcknowledgementsOfWhatWasNotSentAreInconsistent) {
  for (const std::string qos : {"1", "2"}) {
    const Sink sink({"--fault", "wrong-id"});
    const Outcome outcome = sink.load({"pub", "--pubs", "2", "--count", "10", "--qos", qos});
    EXPECT_EQ(outcome.status, 2) << outcome.out;
    EXPECT_GT(json::parse(outcome.out)["failures"]["unanswered"], 0);
  }
}

TEST(Program, AcknowledgementsThatComeTwiceAreInconsistent) {
  for (const std::string qos : {"1", "2"}) {
    const Sink sink({"--fault", "twice"});
    const Outcome outcome = sink.load({"pub", "--pubs", "2", "--count", "10", "--qos", qos});
    EXPECT_EQ(outcome.status, 2) << outcome.out;
  }
}

TEST(Program, ReadsCredentialsFromAFile) {
  const auto file =
      std::filesystem::temp_directory_path() / ("load-credentials-" + std::to_string(getpid()));
  std::ofstream(file) << "a,user,secret\nb\n";
  const Sink sink;
  const Words words{"pub", "--count", "10", "--credentials", file, "--pubs"};
  EXPECT_EQ(sink.figures(words + Words{"2"})["acked"], 10);
  EXPECT_EQ(sink.load(words + Words{"3"}).status, 3);
  std::filesystem::remove(file);
  EXPECT_EQ(sink.load(words + Words{"2"}).status, 3);
}

/// Certificates made anew for each test by the openssl program.
class Tls : public ::testing::Test {
 protected:
  Tls()
      : folder_(std::filesystem::temp_directory_path() / ("load-tls-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    const std::string make =
        "cd " + folder_.string() +
        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        "-subj /CN=load -keyout key.pem -out cert.pem 2>/dev/null";
    EXPECT_EQ(std::system(make.c_str()), 0);
  }
  ~Tls() override { std::filesystem::remove_all(folder_); }

  Words options() const {
    return {"--tls",
            "--ca",
            folder_ / "cert.pem",
            "--cert",
            folder_ / "cert.pem",
            "--key",
            folder_ / "key.pem"};
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(Tls, PublishesAndConnects) {
  const Sink sink(options());
  const json published = sink.figures(
      Words{"pub", "--pubs", "5", "--count", "500", "--window", "16", "--size", "20000"} +
      options());
  EXPECT_EQ(published["acked"], 500);
  EXPECT_EQ(sink.figures(Words{"conn", "--n", "20", "--hold", "0"} + options())["opened"], 20);
}

TEST_F(Tls, ResumesWhatAPlaceHasSeenBefore) {
  const Sink sink(options());
  for (const Words& version : {Words{}, Words{"--tls12"}}) {
    const json figures = sink.figures(
        Words{"conn", "--n", "40", "--inflight", "4", "--churn", "--resume"} + version + options());
    EXPECT_EQ(figures["resumed"], 36);
  }
}

TEST_F(Tls, WithoutACertificateNobodyIsLetIn) {
  const Sink sink(options());
  const Outcome outcome = sink.load({"conn", "--n", "3", "--tls", "--hold", "0"});
  EXPECT_EQ(outcome.status, 1) << outcome.out;
  EXPECT_EQ(json::parse(outcome.out)["opened"], 0);
}

}  // namespace

}  // namespace sluice::load
