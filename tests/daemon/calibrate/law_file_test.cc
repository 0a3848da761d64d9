#include "daemon/calibrate/law_file.h"

#include <string>
#include <utility>
#include <vector>

#include "daemon/calibrate/operator_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/calibrate/generated_table.h"

namespace dsocr::calibrate {
namespace {

using ::testing::HasSubstr;

LawFile Fitted() {
  const OperatorTable table = *ReadOperatorTable(GemmTable(120));
  LawFile file{.tool_version = "9.9.9",
               .table_device = table.device,
               .origin = ProfileOrigin::kEstimated,
               .rows = static_cast<int64_t>(table.rows.size()),
               .rows_sha256 = RowsDigest(table.rows),
               .points = 120,
               .seed = 4};
  file.model = *analytic::FitLaws(analytic::EstimateDevice(table.device, table.rows), table.rows);
  return file;
}

// `text` with its first `from` made `to`.
std::string With(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(LawFile, ReadsBackToTheSameBytes) {
  const std::string text = WriteLawFile(Fitted());
  const auto read = ReadLawFile(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(WriteLawFile(*read), text);
  EXPECT_EQ(read->rows_sha256.size(), 64u);
  EXPECT_EQ(read->seed, 4);
  EXPECT_EQ(read->origin, ProfileOrigin::kEstimated);
}

TEST(LawFile, PredictsTheBitsOfTheFit) {
  const LawFile fitted = Fitted();
  const LawFile read = *ReadLawFile(WriteLawFile(fitted));
  for (const int64_t m : {1, 7, 16, 100, 5000}) {
    for (const int64_t n : {65, 1024, 20'000}) {
      for (const int64_t k : {64, 777}) {
        const analytic::GemmSize size = {m, n, k};
        const auto a = PredictOperator(fitted.model, fitted.model.device, size, analytic::Precision::kBf16);
        const auto b = PredictOperator(read.model, read.model.device, size, analytic::Precision::kBf16);
        EXPECT_EQ(a.ns, b.ns);
        EXPECT_EQ(a.low_50_ns, b.low_50_ns);
        EXPECT_EQ(a.high_90_ns, b.high_90_ns);
        EXPECT_EQ(a.nearest, b.nearest);
        EXPECT_EQ(a.provenance, b.provenance);
      }
    }
  }
}

TEST(LawFile, ErrorsNameTheKey) {
  const std::string text = WriteLawFile(Fitted());
  const std::pair<std::string, std::string> cases[] = {
      {"", "no JSON object"},
      {"[]", "no JSON object"},
      {std::string(100'000, '['), "no JSON object"},
      {"{}", "kind: not a calibration"},
      {text.substr(0, text.size() - 3), "no JSON object"},
      {With(text, "\"version\": 1", "\"version\": 2"), "version: 2: not from 1 to 1"},
      {With(text, "\"law_revision\": ", "\"law_revisions\": "), "law_revision: missing"},
      {With(text, "{\n", "{\n\"more\": 1,\n"), "more: unknown key"},
      {With(text, "\"rows\":120", "\"rows\":-1"), "table.rows: -1: not from 1 to"},
      {With(text, "\"rows\":120", "\"rows\":1.5"), "table.rows: not a whole number"},
      {With(text, "\"sha256\":\"", "\"sha256\":\"g"), "table.sha256: not 64 hex digits"},
      {With(text, "\"estimated\"", "\"guessed\""), "table.profile: not one of catalogue, file, estimated"},
      {With(text, "\"memory_bytes_per_s\":", "\"memory_bytes_per_s\":-"), "device.memory_bytes_per_s: -"},
      {With(text, "\"memory_bytes_per_s\":", "\"memory_bytes_per_s\":0,\"x\":"), "device."},
      {With(text, "\"law\":[", "\"law\":[1e400,"), "no JSON object"},
      {With(text, "\"law\":[", "\"law\":[1,"), "fits[0].law: not as many parameters"},
      {With(text, "\"law\":[", "\"law\":[null,"), "fits[0].law: entry 0: not a finite number"},
      {With(text, "\"class\":\"gemm\"", "\"class\":\"skinny_gemm\""), "fits[0].lengths: not one a coordinate"},
      {With(text, "\"lengths\":[", "\"lengths\":[-"), "fits[0].lengths: not above 0"},
      {With(text, "\"box\":[", "\"box\":[9"), "fits[0].box: "},
      {With(text, "\"box\":[", "\"box\":[0,"), "fits[0].box: "},
      {With(text, "\"weights\":[", "\"weights\":[0,"), "fits[0].centres: "},
      {With(text, "\"spread\":[", "\"spread\":[0,"), "fits[0].spread: "},
      {With(text, "\"rows\":[0,", "\"rows\":[120,"), "fits[0].rows: 120: no index into samples"},
      {With(text, "\"rows\":[0,", "\"rows\":[-1,"), "fits[0].rows: -1: no index into samples"},
      {With(text, "\"gemm,bf16,", "\"gemm,bf16,9999999,"), "samples[0]: "},
      {With(text, "\"samples\": [\n", "\"samples\": [\n7,\n"), "samples[0]: not a text"},
      {With(text, "\"samples\": [\n", "\"samples\": [\n\"gemm,bf16,999999,1,1,1\",\n"), "samples[1]: not in ascending"},
  };
  for (const auto& [document, error] : cases) {
    EXPECT_THAT(std::string(ReadLawFile(document).status().message()), HasSubstr(error));
  }
}

TEST(LawFile, OneFitAClassAndDtype) {
  LawFile file = Fitted();
  file.model.fits.push_back(file.model.fits[0]);
  EXPECT_THAT(std::string(ReadLawFile(WriteLawFile(file)).status().message()), HasSubstr("fits[1]: a second one"));
}

}  // namespace
}  // namespace dsocr::calibrate
