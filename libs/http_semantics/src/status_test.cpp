#include <sluice/http_semantics/status.h>

#include <string>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

TEST(Status, FollowsTheReasonBeforeTheCode) {
  const Error plain(ErrorCode::kFailedPrecondition, "");
  EXPECT_EQ(status_of(plain), 409);
  EXPECT_EQ(status_of(Error(plain).with_reason(std::string(reason::kPreconditionFailed))), 412);
  EXPECT_EQ(status_of(Error(plain).with_reason("of_somebody_else")), 409);
}

TEST(Status, OfAnAnswerStandsForAnError) {
  EXPECT_EQ(code_of_status(429), ErrorCode::kResourceExhausted);
  EXPECT_EQ(code_of_status(418), ErrorCode::kInvalidArgument);
}

TEST(Status, EveryErrorAnswersOneThatHasATitle) {
  for (int code = 1; code <= 16; ++code) {
    const int status = status_of(Error(static_cast<ErrorCode>(code), ""));
    EXPECT_NE(status_title(status), "") << code;
  }
  EXPECT_EQ(status_title(404), "Not Found");
  EXPECT_EQ(status_title(799), "");
}

}  // namespace
}  // namespace sluice::http
