#include <sluice/base/error.h>

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;

TEST(Error, TellsItsStoryOutermostFirst) {
  const Error inner(ErrorCode::kUnavailable, "refused");
  const Error outer = Error(inner).context("connect").context("open row sink");
  EXPECT_EQ(outer.message(), "open row sink: connect: refused");
  EXPECT_EQ(outer.code(), ErrorCode::kUnavailable);
  EXPECT_EQ(inner.context("connect").message(), "connect: refused");
  EXPECT_EQ(inner.message(), "refused");
}

TEST(Error, CarriesFaultsAndReason) {
  const Error error = Error(ErrorCode::kInvalidArgument, "2 faults")
                          .with_fault("/name", "is missing")
                          .with_fault("/age", "is negative")
                          .with_reason("bad_body");
  EXPECT_THAT(error.faults(),
              ElementsAre(FieldFault{"/name", "is missing"}, FieldFault{"/age", "is negative"}));
  EXPECT_EQ(error.reason(), "bad_body");
  EXPECT_EQ(error.context("read").faults().size(), 2U);
}

TEST(ErrorCode, EachHasItsOwnSpelling) {
  std::set<std::string_view> names;
  for (int code = 1; code <= 16; ++code) names.insert(to_string(static_cast<ErrorCode>(code)));
  EXPECT_EQ(names.size(), 16U);
  EXPECT_EQ(to_string(ErrorCode::kNotFound), "not_found");
}

TEST(ErrorCode, OnlyWhatMayChangeByItselfIsWorthARetry) {
  std::set<ErrorCode> retryable;
  for (int code = 1; code <= 16; ++code) {
    if (is_retryable(static_cast<ErrorCode>(code))) retryable.insert(static_cast<ErrorCode>(code));
  }
  EXPECT_EQ(retryable, (std::set{ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded,
                                 ErrorCode::kAborted, ErrorCode::kResourceExhausted}));
}

}  // namespace
}  // namespace sluice
