#include "publishers.h"

#include "null_sink.h"

#include <stop_token>
#include <thread>

#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

using namespace std::chrono_literals;

/// Four clients at a null sink, under a clock that stands still.
class Paced : public ::testing::Test {
 protected:
  Paced() {
    while (!publishers_.is_settled()) turn();
    publishers_.begin(Publishers::kUnlimited);
  }

  void turn() {
    publishers_.tick();
    publishers_.pump();
    loop_.poll(1ms);
  }

  static constexpr double kRate = 100;

  testing::SimClock clock_;
  std::unique_ptr<NullSink> sink_ = NullSink::make({.port = 0}).value();
  Clients clients_ = Clients::make({}).value();
  TextTemplate topic_ = TextTemplate::parse("t", false).value();
  Tally tally_;
  swarm::Loop loop_{swarm::Route::make({.port = sink_->port()}).value(), clients_, clock_};
  Publishers publishers_{
      loop_,
      tally_,
      clients_,
      {.count = 4},
      {.qos = mqtt::Qos::kAtLeastOnce, .rate = kRate, .topic = &topic_, .payload = "p"}};
  std::jthread server_{[this](std::stop_token stop) { sink_->run(std::move(stop)); }};
};

TEST_F(Paced, WhatFellDueBeforeTheEndIsSentAfterItAndCountsAsLate) {
  clock_.advance(2s);
  publishers_.stop();
  while (!publishers_.is_done()) turn();
  EXPECT_EQ(tally_.acked, 200U);
  EXPECT_EQ(tally_.answering.count(), 200U);
  EXPECT_EQ(tally_.answering.max(), 2s);
  EXPECT_NEAR(static_cast<double>(tally_.answering.quantile(0.5).count()), 1e9, 3e7);
  publishers_.give_up();
  EXPECT_TRUE(tally_.failures.empty());
}

TEST_F(Paced, WhatWasNotSentAtAllHasFailed) {
  clock_.advance(1s);
  publishers_.stop();
  publishers_.give_up();
  EXPECT_EQ(tally_.failures["not_sent"], 100U);
}

TEST_F(Paced, LatenciesAreCountedWhereItIsTold) {
  publishers_.record_in(tally_.disturbed);
  clock_.advance(1s);
  publishers_.stop();
  while (!publishers_.is_done()) turn();
  EXPECT_EQ(tally_.answering.count(), 0U);
  EXPECT_EQ(tally_.disturbed.count(), 100U);
}

}  // namespace

}  // namespace sluice::load
