#include "daemon/calibrate/split.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "daemon/calibrate/operator_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/calibrate/generated_table.h"

namespace dsocr::calibrate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Texts(const std::vector<analytic::Sample>& rows) {
  std::vector<std::string> texts;
  for (const analytic::Sample& row : rows) {
    texts.push_back(RowText(row));
  }
  return texts;
}

std::vector<analytic::Sample> Rows(int count) { return ReadOperatorTable(GemmTable(count))->rows; }

TEST(DrawRows, IsTheSameForTheSameRowsInAnyOrder) {
  std::vector<analytic::Sample> rows = Rows(200);
  const std::vector<std::string> drawn = Texts(DrawRows(rows, 20, 3).drawn);
  EXPECT_EQ(std::set<std::string>(drawn.begin(), drawn.end()).size(), 20u);
  std::reverse(rows.begin(), rows.end());
  EXPECT_EQ(Texts(DrawRows(rows, 20, 3).drawn), drawn);
  EXPECT_NE(Texts(DrawRows(rows, 20, 4).drawn), drawn);
}

// What the recipe of docs/calibration.md draws in Python, too: whatever machine, compiler and standard library.
TEST(DrawRows, IsTheSameOnEveryMachine) {
  std::vector<analytic::Sample> rows(10);
  for (int i = 0; i < 10; ++i) {
    rows[static_cast<size_t>(i)] = {analytic::GemmSize{i + 1, 1, 1}, analytic::Precision::kBf16, 1.0};
  }
  EXPECT_THAT(Texts(DrawRows(rows, 3, 1).drawn),
              ElementsAre("gemm,bf16,4,1,1,1", "gemm,bf16,7,1,1,1", "gemm,bf16,8,1,1,1"));
}

TEST(DrawRows, EachRowIsAsLikelyAsAnyOther) {
  const std::vector<analytic::Sample> rows = Rows(10);
  std::vector<int> counts(10, 0);
  for (int64_t seed = 0; seed < 2000; ++seed) {
    for (const std::string& text : Texts(DrawRows(rows, 3, seed).drawn)) {
      const std::vector<std::string> all = Texts(rows);
      ++counts[static_cast<size_t>(std::find(all.begin(), all.end(), text) - all.begin())];
    }
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 600, 100);  // five standard deviations
  }
}

TEST(SplitFile, ReadsBackEqual) {
  const Split split = DrawRows(Rows(100), 10, 5);
  const std::string text = WriteSplit(split);
  const auto read = ReadSplit(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->seed, 5);
  EXPECT_EQ(WriteSplit(*read), text);
}

TEST(SplitFile, WhatIsNoSplitIsRefused) {
  const auto error = [](const std::string& text) { return std::string(ReadSplit(text).status().message()); };
  EXPECT_THAT(error(""), HasSubstr("no JSON object"));
  EXPECT_THAT(error("{}"), HasSubstr("kind"));
  const std::string text = WriteSplit(DrawRows(Rows(10), 2, 0));
  EXPECT_THAT(error(text.substr(0, text.size() / 2)), HasSubstr("no JSON object"));
  std::string wrong = text;
  wrong.replace(wrong.find("gemm,"), 5, "gemm;");
  EXPECT_THAT(error(wrong), HasSubstr("rows[0]: "));
  wrong = text;
  wrong.replace(wrong.find("\"seed\": 0"), 9, "\"seed\": -1");
  EXPECT_THAT(error(wrong), HasSubstr("seed: -1: not from 0"));
}

TEST(RowsWithout, LeavesTheOthersAndRefusesASplitOfAnotherTable) {
  std::vector<analytic::Sample> rows = Rows(20);
  rows.push_back(rows.front());  // measured twice, with one result
  Split split = DrawRows(rows, 0, 0);
  split.drawn = {rows.front()};
  const auto rest = RowsWithout(split, rows);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->size(), 20u);
  split.drawn[0].time_ns += 1;
  EXPECT_THAT(std::string(RowsWithout(split, rows).status().message()), HasSubstr("is it of another one?"));
}

}  // namespace
}  // namespace dsocr::calibrate
