#include <sluice/base/trace.h>

#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr std::string_view kHeader = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContext, IsReadAndWrittenAsTheSpecificationSays) {
  const auto trace = TraceContext::parse(kHeader);
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->trace_id_hex(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_TRUE(trace->sampled);
  EXPECT_EQ(trace->traceparent(), kHeader);
}

TEST(TraceContext, OnlyTheSampledFlagIsRead) {
  const auto flags = [](std::string_view last) {
    return TraceContext::parse(std::string(kHeader.substr(0, 53)) + std::string(last));
  };
  EXPECT_FALSE(flags("00")->sampled);
  EXPECT_TRUE(flags("03")->sampled);
  EXPECT_EQ(flags("fe")->traceparent().substr(53), "00");
}

TEST(TraceContext, MalformedHeadersAreNeverBelieved) {
  const std::string good(kHeader);
  for (const std::string& header :
       {std::string(), good + "x", good.substr(1), "01" + good.substr(2), "ff" + good.substr(2),
        "00-" + std::string(32, '0') + good.substr(35),
        good.substr(0, 36) + std::string(16, '0') + "-01",
        "00-" + std::string(32, 'A') + good.substr(35),
        "00-" + std::string(32, 'g') + good.substr(35), good.substr(0, 53) + "0g",
        "00_" + good.substr(3)}) {
    EXPECT_FALSE(TraceContext::parse(header)) << header;
  }
}

TEST(TraceContext, AChildHasItsParentsTraceAndASpanOfItsOwn) {
  SystemRandom random;
  const auto parent = TraceContext::parse(kHeader);
  const TraceContext child = parent->child(random);
  EXPECT_EQ(child.trace_id, parent->trace_id);
  EXPECT_NE(child.span_id, parent->span_id);
  EXPECT_TRUE(child.sampled);
}

TEST(TraceContext, ANewOneCanBeReadByOthers) {
  SystemRandom random;
  const TraceContext first = TraceContext::start(random);
  EXPECT_EQ(TraceContext::parse(first.traceparent()), first);
  EXPECT_NE(TraceContext::start(random).trace_id, first.trace_id);
}

}  // namespace
}  // namespace sluice
