#include "client/render/table.h"

#include "client/render/units.h"
#include "gtest/gtest.h"

namespace dsocr::client {
namespace {

Table SampleTable() {
  Table table;
  table.columns = {{"NAME", "name"}, {"TIME", "time_ms", true}, {"", "bar"}};
  table.rows = {{Cell("größe, \"x\""), Cell("4.50 s", "4500.0"), Cell("█")},
                {Cell("b|c\033[31m"), Cell("-", ""), Cell("")}};
  return table;
}

TEST(TableText, AlignsByCharactersAndLeavesNoTrailingBlanks) {
  EXPECT_EQ(TableText(SampleTable(), false),
            "NAME          TIME\n"
            "größe, \"x\"  4.50 s  █\n"
            "b|c [31m         -\n");
}

TEST(TableText, ColoursOnlyWhereAsked) {
  Table table;
  table.columns = {{"A", "a"}};
  table.rows = {{Cell("x", Style::kGood)}};
  EXPECT_EQ(TableText(table, true), "\033[1mA\033[0m\n\033[32mx\033[0m\n");
  EXPECT_EQ(TableText(table, false), "A\nx\n");
}

TEST(TableCsv, PrintsExactValuesAndQuotesWhatNeedsIt) {
  EXPECT_EQ(TableCsv(SampleTable()), "name,time_ms,bar\n\"größe, \"\"x\"\"\",4500.0,█\nb|c\033[31m,,\n");
}

TEST(TableMarkdown, EscapesPipes) {
  EXPECT_EQ(TableMarkdown(SampleTable()),
            "| NAME | TIME |  |\n| --- | ---: | --- |\n| größe, \"x\" | 4.50 s | █ |\n| b\\|c [31m | - |  |\n");
}

TEST(HumanMs, KeepsThreeDigitsAndPicksTheUnit) {
  EXPECT_EQ(HumanMs(12500), "12.5 s");
  EXPECT_EQ(HumanMs(999.6), "1.00 s");
  EXPECT_EQ(HumanMs(999.4), "999 ms");
  EXPECT_EQ(HumanMs(3.25), "3.25 ms");
  EXPECT_EQ(HumanMs(0.04), "40.0 us");
  EXPECT_EQ(HumanMs(0.000002), "2.00 ns");
  EXPECT_EQ(HumanMs(-2), "-2.00 ms");
  EXPECT_EQ(HumanMs(0.0), "0");
  EXPECT_EQ(HumanMs(std::optional<double>()), "-");
  EXPECT_EQ(HumanMs(1e9), "1000000 s");
}

TEST(HumanCount, GroupsThousands) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(3336106240), "3,336,106,240");
  EXPECT_EQ(HumanCount(-1234), "-1,234");
}

TEST(HumanShareAndRatio, AreShort) {
  EXPECT_EQ(HumanShare(0.4), "40.0 %");
  EXPECT_EQ(HumanRatio(0.96), "0.96");
  EXPECT_EQ(HumanRatio(12.34), "12.3");
  EXPECT_EQ(HumanRatio(std::nullopt), "-");
  EXPECT_EQ(HumanFlops(3.5), "3.50 TF");
  EXPECT_EQ(HumanFlops(0.069), "69.0 GF");
}

}  // namespace
}  // namespace dsocr::client
