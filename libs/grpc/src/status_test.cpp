#include "access_table.h"
#include "address.h"
#include "retry_budget.h"

#include <string>

#include <sluice/grpc/raw.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::rpc {
namespace {

Error there_and_back(const Error& error) { return from_status(to_status(error)).error(); }

TEST(RpcStatus, CarriesEveryCode) {
  for (int code = 1; code <= 16; ++code) {
    const Error back = there_and_back(Error(static_cast<ErrorCode>(code), "what happened"));
    EXPECT_EQ(static_cast<int>(back.code()), code);
    EXPECT_EQ(back.message(), "what happened");
  }
}

TEST(RpcStatus, OkIsNoError) { EXPECT_TRUE(from_status(grpc::Status::OK)); }

TEST(RpcStatus, CarriesReasonAndFaults) {
  const Error back = there_and_back(Error(ErrorCode::kInvalidArgument, "bad fleet")
                                        .with_reason("fleet_name")
                                        .with_fault("/name", "is empty")
                                        .with_fault("/size", "is negative"));
  EXPECT_EQ(back.reason(), "fleet_name");
  EXPECT_THAT(back.faults(), ::testing::ElementsAre(FieldFault{"/name", "is empty"},
                                                    FieldFault{"/size", "is negative"}));
}

TEST(RpcStatus, FitsIntoTheTrailersHoweverMuchWentWrong) {
  Error error(ErrorCode::kInvalidArgument, std::string(100'000, 'x'));
  for (int i = 0; i < 1000; ++i)
    error = std::move(error).with_fault("/field", std::string(50, 'y'));
  const grpc::Status status = to_status(error);
  // 8 KiB is what gRPC accepts; binary details grow by a third in base64.
  EXPECT_LT(status.error_message().size() + status.error_details().size() * 4 / 3, 7U * 1024);
  EXPECT_FALSE(from_status(status).error().faults().empty());
}

TEST(RpcStatus, SurvivesTextThatIsNoUtf8) {
  const Error back = there_and_back(Error(ErrorCode::kInternal,
                                          "a\xFF"
                                          "b")
                                        .with_fault("c\xC3", "d")
                                        .with_reason("\xFE"));
  EXPECT_EQ(back.message(),
            "a\xEF\xBF\xBD"
            "b");
  ASSERT_EQ(back.faults().size(), 1U);
}

TEST(RpcStatus, ReadsForeignStatuses) {
  EXPECT_EQ(from_status({static_cast<grpc::StatusCode>(17), "odd"}).error().code(),
            ErrorCode::kUnknown);
  const Error error =
      from_status({grpc::StatusCode::NOT_FOUND, "gone", "these are no details"}).error();
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_TRUE(error.reason().empty());
}

using Verdict = AccessTable::Verdict;

AccessTable table() {
  AccessTable access;
  access.add("a.B/Get", {"front", "rules"});
  access.add("a.B/Nobody", {});
  return access;
}

TEST(AccessTable, AllowsNamedPeersAlone) {
  EXPECT_EQ(table().check("/a.B/Get", "front"), Verdict::kAllowed);
  EXPECT_EQ(table().check("/a.B/Get", "rules"), Verdict::kAllowed);
  EXPECT_EQ(table().check("/a.B/Get", "fron"), Verdict::kWrongPeer);
  EXPECT_EQ(table().check("/a.B/Get", "front.evil"), Verdict::kWrongPeer);
  EXPECT_EQ(table().check("/a.B/Nobody", "front"), Verdict::kWrongPeer);
}

TEST(AccessTable, RefusesPeersWithoutName) {
  AccessTable access;
  access.add("a.B/Get", {""});
  EXPECT_EQ(access.check("/a.B/Get", ""), Verdict::kWrongPeer);
}

TEST(AccessTable, RefusesUnknownMethods) {
  for (const char* path : {"/a.B/Other", "a.B/Get", "/a.B/Get/", "//a.B/Get", "/", ""}) {
    EXPECT_EQ(table().check(path, "front"), Verdict::kUnknownMethod) << path;
    EXPECT_EQ(table().check_without_peer(path), Verdict::kUnknownMethod) << path;
  }
}

TEST(AccessTable, OpensHealthChecksToEveryPeer) {
  EXPECT_EQ(table().check("/grpc.health.v1.Health/Check", "anybody"), Verdict::kAllowed);
  EXPECT_EQ(table().check("/grpc.health.v1.Health/Check", ""), Verdict::kAllowed);
  EXPECT_EQ(table().check("/grpc.health.v1.Health/Watch", "anybody"), Verdict::kNoWatch);
}

TEST(AccessTableDeathTest, TakesEachMethodOnce) {
  EXPECT_DEATH(
      {
        AccessTable access = table();
        access.add("a.B/Get", {"other"});
      },
      "BUG:");
}

TEST(Address, KnowsLoopback) {
  for (const char* address : {"127.0.0.1:1", "127.3.2.1:0", "[::1]:80", "localhost:5"}) {
    EXPECT_TRUE(is_loopback(address)) << address;
  }
  for (const char* address :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.evil.org:1", "127.0.0.1.evil.org:1",
        "[::ffff:10.0.0.1]:1", "", ":80", "128.0.0.1:1"}) {
    EXPECT_FALSE(is_loopback(address)) << address;
  }
}

TEST(RetryBudget, RunsOutAndIsEarnedBackBySuccess) {
  RetryBudget budget;
  int spent = 0;
  while (budget.try_spend()) ++spent;
  EXPECT_EQ(spent, 20);
  for (int i = 0; i < 9; ++i) budget.on_success();
  EXPECT_FALSE(budget.try_spend());
  budget.on_success();
  EXPECT_TRUE(budget.try_spend());
  EXPECT_FALSE(budget.try_spend());
}

}  // namespace
}  // namespace sluice::rpc
