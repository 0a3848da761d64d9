#include "daemon/calibrate/operator_table.h"

#include <zlib.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "daemon/calibrate/gzip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/calibrate/generated_table.h"

namespace dsocr::calibrate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kThree[] =
    "gemm,X,bf16,1024,4096,512,,,,,,,,,,,,,,12.5\n"
    "attention,X,bf16,,,,2,64,128,8,4,80,1,,,,,,,40\n"
    "moe,X,fp32,,,,,,,,,,,16,2048,512,2,8,power_law_1.2,99.25\n";

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string ErrorOf(const std::string& bytes) { return std::string(ReadOperatorTable(bytes).status().message()); }
std::string ErrorOfRow(const std::string& row) { return ErrorOf(kHeader + row); }

TEST(ReadOperatorTable, ReadsEveryKindOfOperator) {
  const auto table = ReadOperatorTable(std::string(kHeader) + kThree);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->device, "X");
  ASSERT_EQ(table->rows.size(), 3u);
  EXPECT_EQ(RowText(table->rows[0]), "gemm,bf16,1024,4096,512,12500");
  EXPECT_EQ(RowText(table->rows[1]), "attention,bf16,2,64,128,8,4,80,1,40000");
  EXPECT_EQ(RowText(table->rows[2]), "moe,fp32,16,2048,512,2,8,power_law_1.2,99250");
  EXPECT_TRUE(table->ignored_columns.empty());
}

TEST(ReadOperatorTable, TakesColumnsInAnyOrderAndNamesThoseItPassesOver) {
  const auto table = ReadOperatorTable(
      "\xEF\xBB\xBFtime_us,k,note,n,m,\"op\",dtype,device\r\n1e1,3,\"a, \"\"b\"\"\nc\",2,1,gemm,bf16,\"X, Y\"");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->device, "X, Y");
  ASSERT_EQ(table->rows.size(), 1u);
  EXPECT_EQ(RowText(table->rows[0]), "gemm,bf16,1,2,3,10000");
  EXPECT_THAT(table->ignored_columns, ElementsAre("note"));
}

TEST(ReadOperatorTable, AGzippedTableIsTheTable) {
  const std::string text = std::string(kHeader) + kThree;
  const std::string half = text.substr(0, text.size() / 2);
  for (const std::string& packed : {Gzip(text), Gzip(half) + Gzip(text.substr(half.size()))}) {
    const auto table = ReadOperatorTable(packed);
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_EQ(RowsDigest(table->rows), RowsDigest(ReadOperatorTable(text)->rows));
  }
}

TEST(ReadOperatorTable, GzipThatIsDamagedCutOffOrTooLargeIsRefused) {
  const std::string packed = Gzip(std::string(kHeader) + kThree);
  EXPECT_THAT(ErrorOf(packed.substr(0, packed.size() - 1)), HasSubstr("cut off"));
  EXPECT_THAT(ErrorOf(packed.substr(0, 12)), HasSubstr("cut off"));
  EXPECT_THAT(ErrorOf(packed + "x"), HasSubstr("gzip: "));
  std::string damaged = packed;
  damaged[packed.size() / 2] ^= 0x55;
  EXPECT_THAT(ErrorOf(damaged), HasSubstr("gzip: damaged"));
  const std::string bomb = Gzip(std::string(kMaxTableBytes + 1, ','));
  EXPECT_LT(bomb.size(), size_t{1} << 20);
  EXPECT_THAT(ErrorOf(bomb), HasSubstr("unpacks to more than"));
}

TEST(ReadOperatorTable, ErrorsNameLineColumnAndValue) {
  const std::pair<std::string, std::string> cases[] = {
      {"gemm,X,bf16,0,2,3,,,,,,,,,,,,,,1\n", "line 2: m: \"0\": not a whole number from 1 to"},
      {"gemm,X,bf16,1,,3,,,,,,,,,,,,,,1\n", "line 2: n: \"\": not a whole number"},
      {"gemm,X,bf16,1,2,3.5,,,,,,,,,,,,,,1\n", "line 2: k: \"3.5\": not a whole number"},
      {"gemm,X,bf16,1,2,99999999999999999999,,,,,,,,,,,,,,1\n", "k: \"99999999999999999999\""},
      {"gemm,X,bf16,1,2,+3,,,,,,,,,,,,,,1\n", "k: \"+3\""},
      {"gemm,X,bf16,1,2, 3,,,,,,,,,,,,,,1\n", "k: \" 3\""},
      {"gemm,X,bf16,1,2,3,4,,,,,,,,,,,,,1\n", "line 2: batch: \"4\": it does not apply to gemm"},
      {"gemm,X,bf17,1,2,3,,,,,,,,,,,,,,1\n", "line 2: dtype: \"bf17\": not one of fp32, bf16"},
      {"gem,X,bf16,1,2,3,,,,,,,,,,,,,,1\n",
       "line 2: op: \"gem\": not one of gemm, attention, moe; did you mean 'gemm'?"},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,,0\n", "line 2: time_us: \"0\": not a number above 0"},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,,-1\n", "time_us: \"-1\""},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,,nan\n", "time_us: \"nan\""},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,,inf\n", "time_us: \"inf\""},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,,1e400\n", "time_us: \"1e400\""},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,\n", "line 2: 19 cells, expected 20"},
      {"\n", "line 2: 1 cells, expected 20"},
      {"gemm,X,bf16,1,2,3,,,,,,,,,,,,,,1\ngemm,Y,bf16,1,2,4,,,,,,,,,,,,,,1\n",
       "line 3: device: \"Y\": the rows above are of \"X\""},
      {"attention,X,bf16,,,,2,64,128,8,4,80,2,,,,,,,40\n", "line 2: causal: \"2\": not one of 0, 1"},
      {"attention,X,bf16,,,,2,64,128,4,8,80,1,,,,,,,40\n", "line 2: kv_heads: 8: more than heads, 4"},
      {"moe,X,bf16,,,,,,,,,,,16,2048,512,9,8,balanced,99\n", "line 2: topk: 9: more than experts, 8"},
      {"moe,X,bf16,,,,,,,,,,,16,2048,512,2,8,sideways,99\n", "line 2: routing: \"sideways\": not 'balanced'"},
      {"\"gemm,X\n", "line 2 column 1: a quote that is never closed"},
      {"gemm,X\"Y,bf16\n", "line 2 column 7: a quote within a cell"},
      {"\"gemm\"x,X\n", "line 2 column 7: expected a comma or the end of the line"},
      {"gemm,\xFF,bf16\n", "line 2 column 6: not UTF-8"},
  };
  for (const auto& [row, error] : cases) {
    EXPECT_THAT(ErrorOfRow(row), HasSubstr(error)) << row;
    EXPECT_EQ(ErrorOfRow(row).find('\n'), std::string::npos);
  }
}

TEST(ReadOperatorTable, TablesWithoutWhatTheyNeedAreRefused) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("it is empty"));
  EXPECT_THAT(ErrorOf(kHeader), HasSubstr("no row below its header"));
  EXPECT_THAT(ErrorOf("op,dtype,time_us\n"), HasSubstr("line 1: no column 'device'"));
  EXPECT_THAT(ErrorOf("op,op,device,dtype,time_us\n"), HasSubstr("line 1 column 2: \"op\": a second column"));
  EXPECT_THAT(ErrorOf("op,device,dtype,m,n,time_us\ngemm,X,bf16,1,2,3\n"),
              HasSubstr("line 2: op: 'gemm': no column 'k' in line 1"));
  EXPECT_THAT(ErrorOf(std::string(300, ',') + "\n"), HasSubstr("301 columns"));
  EXPECT_THAT(ErrorOf(std::string(kMaxTableBytes + 1, ',')), HasSubstr("expected at most"));
}

TEST(ReadOperatorTable, AHundredThousandRowsAreATable) {
  const auto table = ReadOperatorTable(GemmTable(100'000));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->rows.size(), 100'000u);
}

TEST(RowText, ReadsBackEqual) {
  const OperatorTable table = *ReadOperatorTable(std::string(kHeader) + kThree);
  for (const analytic::Sample& row : table.rows) {
    const auto read = ParseRowText(RowText(row));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->size, row.size);
    EXPECT_EQ(read->precision, row.precision);
    EXPECT_EQ(read->time_ns, row.time_ns);
  }
  for (const char* text :
       {"", "gemm", "gemm,bf16,1,2,3", "gemm,bf16,1,2,3,4,5", "gemm,bf16,1,2,0,4", "moe,bf16,1,2,3,4"}) {
    EXPECT_FALSE(ParseRowText(text).ok()) << text;
  }
}

TEST(RowsDigest, DependsOnTheRowsAndNotOnTheirOrder) {
  std::vector<analytic::Sample> rows = ReadOperatorTable(GemmTable(50))->rows;
  const std::string digest = RowsDigest(rows);
  std::reverse(rows.begin(), rows.end());
  EXPECT_EQ(RowsDigest(rows), digest);
  rows.back().time_ns += 1;
  EXPECT_NE(RowsDigest(rows), digest);
}

}  // namespace
}  // namespace dsocr::calibrate
