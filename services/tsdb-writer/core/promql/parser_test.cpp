#include "core/promql/parser.h"

#include <format>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace sluice::tsdb::promql {
namespace {

/// A tree as text, brackets around every operation.
std::string shown(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kNumber:
      return std::format("{}", expr.number);
    case ExprKind::kText:
      return "'" + expr.text + "'";
    case ExprKind::kVector:
    case ExprKind::kMatrix: {
      std::string text = "{";
      for (const Matcher& matcher : expr.matchers) {
        text += std::format("{}{}{};", matcher.label(), static_cast<int>(matcher.kind()),
                            matcher.value());
      }
      return text + std::format("}}[{}]-{}", expr.range_ms, expr.offset_ms);
    }
    case ExprKind::kNegative:
      return "-(" + shown(*expr.arguments[0]) + ")";
    case ExprKind::kBinary:
      return std::format("({} {} {})", shown(*expr.arguments[0]), static_cast<int>(expr.op),
                         shown(*expr.arguments[1]));
    case ExprKind::kCall:
    case ExprKind::kAggregate: {
      std::string text =
          expr.kind == ExprKind::kCall
              ? std::format("f{}", static_cast<int>(expr.function))
              : std::format("a{}{}", static_cast<int>(expr.aggregation), expr.is_only_these);
      for (const std::string& label : expr.labels) text += " " + label;
      for (const ExprPtr& argument : expr.arguments) text += "," + shown(*argument);
      return text + ";";
    }
  }
  return "";
}

std::string tree(std::string_view text) {
  const auto expr = parse_query(text);
  return expr ? shown(**expr) : expr.error().message();
}

TEST(PromqlParser, KnowsPrecedence) {
  EXPECT_EQ(tree("1 + 2 * 3 ^ 2 ^ 2"), "(1 0 (2 2 (3 5 (2 5 2))))");
  EXPECT_EQ(tree("1 - 2 - 3"), "((1 1 2) 1 3)");
  EXPECT_EQ(tree("-1 ^ 2"), "-((1 5 2))");
  EXPECT_EQ(tree("-a * 2"), "(-({__name__0a;}[0]-0) 2 2)");
  EXPECT_EQ(tree("a > bool 1 + 1"), "({__name__0a;}[0]-0 8 (1 0 1))");
  EXPECT_EQ(tree("(1 + 2) * 3"), "((1 0 2) 2 3)");
}

TEST(PromqlParser, ReadsSelectors) {
  EXPECT_EQ(tree(R"(up{a="1",b!='2',c=~`x.*`,d!~"y",})"), "{__name__0up;a01;b12;c2x.*;d3y;}[0]-0");
  EXPECT_EQ(tree(R"({"engine.rpm",device="d"})"), "{__name__0engine.rpm;device0d;}[0]-0");
  EXPECT_EQ(tree("rate(up[1h30m] offset -5m)"), "f0,{__name__0up;}[5400000]--300000;");
  EXPECT_EQ(tree(R"({a="\x41\u00e4\n"})"), "{a0A\xc3\xa4\n;}[0]-0");
}

TEST(PromqlParser, ReadsAggregations) {
  EXPECT_EQ(tree("sum(up)"), "a0true,{__name__0up;}[0]-0;");
  EXPECT_EQ(tree("sum by (x, y) (up)"), "a0true x y,{__name__0up;}[0]-0;");
  EXPECT_EQ(tree("topk(3, up) without (z)"), "a5false z,3,{__name__0up;}[0]-0;");
  EXPECT_EQ(tree("sum"), "{__name__0sum;}[0]-0");  // a metric may be called so
}

TEST(PromqlParser, RefusesWhatItCannotRead) {
  for (const char* wrong : {"",
                            "1 +",
                            "(1",
                            "up[5m]",
                            "rate(up)",
                            "rate(up[5m], 1)",
                            "up{",
                            "up{a}",
                            "up{a=b}",
                            "{}",
                            "{a=~\".*\"}",
                            "{a!=\"x\"}",
                            "1 == 2",
                            "up{a=~\"(\"}",
                            "sum by x (up)",
                            "foo(up)",
                            "up offset",
                            "up[5m:1m]",
                            "up @ 5",
                            "a and b",
                            "a * on(x) group_left() b",
                            "1 2",
                            "\"open",
                            "up[0s]",
                            "up[5]",
                            "1 + bool 2",
                            "a + bool b",
                            "-\"text\"",
                            "\"a\" + 1",
                            "topk(up)",
                            "$",
                            "5m",
                            "1x",
                            "up{a=\"\\q\"}",
                            "up{1a=\"x\"}"}) {
    const auto expr = parse_query(wrong);
    ASSERT_FALSE(expr) << wrong;
    EXPECT_EQ(expr.error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(tree("1 + "), "1:5: parse error: unexpected end of input");
}

TEST(PromqlParser, BoundsNestingAndLength) {
  EXPECT_FALSE(parse_query(std::string(4'000, '(')));
  EXPECT_FALSE(parse_query(std::string(4'000, '-') + "1"));
  std::string chain = "1";
  for (int i = 0; i < 2'000; ++i) chain += "+1";
  EXPECT_FALSE(parse_query(chain));
  EXPECT_FALSE(parse_query("1 + 1" + std::string(kMaxQueryBytes, ' ')));
  std::string bars;
  for (int i = 0; i < 500; ++i) bars += "abs(";
  EXPECT_FALSE(parse_query(bars));
}

TEST(PromqlParser, SurvivesAnyBytes) {
  const std::vector<std::string> seeds = {
      R"(sum by (a) (rate(up{b=~"x|y"}[5m] offset 1h)) / on(a) c > bool 0.5e-3)",
      R"(topk(3, quantile_over_time(0.9, {"m.n",d!="\u0041"}[1h30m])) without (z) ^ -2)"};
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (auto changes = 1 + random() % 5; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = static_cast<char>(random());
      } else {
        text.insert(at, seeds[random() % 2].substr(random() % 40, random() % 20));
      }
    }
    const auto expr = parse_query(text);
    if (!expr) {
      EXPECT_EQ(expr.error().code(), ErrorCode::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace sluice::tsdb::promql
