#include "analytic/workload.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"
#include "tests/analytic/workloads.h"

namespace dsocr::analytic {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const Workload& workload, const ModelSpec& model = ModelSpec()) {
  const absl::Status status = CheckWorkload(model, workload);
  return status.code() == absl::StatusCode::kInvalidArgument ? std::string(status.message()) : status.ToString();
}

Workload CropPage(int64_t width, int64_t height) {
  Workload workload = Standard();
  workload.page_width = width;
  workload.page_height = height;
  return workload;
}

TEST(WorkloadCatalogue, HasThePromisedImageTokens) {
  const struct {
    const char* profile_id;
    int64_t image_tokens;
    int64_t seq_len;
  } rows[] = {{"dsocr-standard-v1", 273, 512}, {"dsocr-tiny-v1", 73, 128},   {"dsocr-small-v1", 111, 256},
              {"dsocr-base-v1", 273, 512},     {"dsocr-large-v1", 421, 640}, {"dsocr-a4-v1", 903, 1024}};
  ASSERT_EQ(WorkloadCatalogue().size(), std::size(rows));
  for (size_t i = 0; i < std::size(rows); ++i) {
    const Workload& workload = WorkloadCatalogue()[i];
    EXPECT_EQ(workload.profile_id, rows[i].profile_id);
    EXPECT_EQ(LayOutImage(ModelSpec(), workload).image_tokens(), rows[i].image_tokens) << rows[i].profile_id;
    EXPECT_EQ(workload.seq_len, rows[i].seq_len);
    EXPECT_EQ(workload.max_new_tokens, 64);
    EXPECT_TRUE(CheckWorkload(ModelSpec(), workload).ok()) << rows[i].profile_id;
  }
}

TEST(WorkloadCatalogue, SuggestsTheNearestName) {
  const absl::Status status = FindWorkload("dsocr-tinny-v1").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "no workload 'dsocr-tinny-v1': not in the catalogue; did you mean 'dsocr-tiny-v1'? 'dsocrctl workloads' "
            "lists them");
  EXPECT_EQ(FindWorkload("nothing-like-it-at-all").status().message(),
            "no workload 'nothing-like-it-at-all': not in the catalogue; 'dsocrctl workloads' lists them");
}

TEST(LayOutImage, CropsStartAtOnePixelOverTheThreshold) {
  EXPECT_EQ(LayOutImage(ModelSpec(), CropPage(640, 640)).num_crops, 0);
  const ImageLayout layout = LayOutImage(ModelSpec(), CropPage(641, 640));
  EXPECT_EQ(layout.crops_wide, 2);
  EXPECT_EQ(layout.crops_high, 2);
  EXPECT_EQ(layout.local_tokens, 20 * 21);
  EXPECT_EQ(layout.global_tokens, 16 * 17);
  EXPECT_EQ(layout.image_tokens(), 693);
}

TEST(LayOutImage, WithoutCropModeTheBaseSizeIsIgnored) {
  Workload workload = *FindWorkload("dsocr-small-v1");
  workload.base_size = 1024;
  EXPECT_EQ(LayOutImage(ModelSpec(), workload).global_side, 640);
  EXPECT_EQ(LayOutImage(ModelSpec(), workload).image_tokens(), 111);
}

TEST(LayOutImage, HonoursOtherTilesAndOddSides) {
  Workload workload = Standard();
  workload.base_size = 256;
  workload.image_size = 160;
  workload.page_width = 500;
  workload.page_height = 380;
  const ImageLayout layout = LayOutImage(TinyA(), workload);
  EXPECT_EQ(layout.crops_wide, 3);
  EXPECT_EQ(layout.crops_high, 2);
  EXPECT_EQ(layout.image_tokens(), 81);  // 160 -> 10 -> 5 -> 3 rows a crop
}

TEST(CheckWorkload, NamesTheSizeThatIsWrong) {
  Workload workload = Standard();
  workload.base_size = 0;
  EXPECT_EQ(Refusal(workload), "base_size 0: not positive; give a multiple of 16");
  workload.base_size = -16;
  EXPECT_THAT(Refusal(workload), HasSubstr("base_size -16: not positive"));
  workload.base_size = 1000;
  EXPECT_EQ(Refusal(workload), "base_size 1000: not a multiple of the patch size 16; the next one is 1008");
  workload.base_size = 1 << 20;
  EXPECT_THAT(Refusal(workload), HasSubstr("base_size 1048576: over 8192 pixels"));
}

TEST(CheckWorkload, CropModeNeedsTheModelsTile) {
  Workload workload = Standard();
  workload.image_size = 512;
  EXPECT_EQ(Refusal(workload),
            "image_size 512: crop_mode 1 cuts crops of 640 pixels; give image_size 640 or crop_mode 0");
  workload.crop_mode = false;
  EXPECT_TRUE(CheckWorkload(ModelSpec(), workload).ok());
}

TEST(CheckWorkload, ThePromptHoldsTheImageAndOneToken) {
  Workload workload = Standard();
  workload.seq_len = 273;
  EXPECT_EQ(Refusal(workload), "seq_len 273: the image alone takes 273 tokens; give at least 274");
  workload.seq_len = 274;
  EXPECT_TRUE(CheckWorkload(ModelSpec(), workload).ok());
}

TEST(CheckWorkload, RefusesEmptyAndAbsurdRequests) {
  Workload workload = Standard();
  workload.max_new_tokens = 0;
  EXPECT_THAT(Refusal(workload), HasSubstr("max_new_tokens 0: not between 1 and"));
  workload = Standard();
  workload.batch = 0;
  EXPECT_THAT(Refusal(workload), HasSubstr("batch 0"));
  workload = Standard();
  workload.num_pages = 2;
  EXPECT_THAT(Refusal(workload), HasSubstr("num_pages 2: a request reads one page"));
  workload = Standard();
  workload.seq_len = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(Refusal(workload), HasSubstr("seq_len 9223372036854775807: not between 1 and 1048576"));
}

TEST(CheckWorkload, RefusesDegeneratePages) {
  EXPECT_THAT(Refusal(CropPage(0, 600)), HasSubstr("page_width 0"));
  EXPECT_THAT(Refusal(CropPage(600, -1)), HasSubstr("page_height -1"));
  EXPECT_THAT(Refusal(CropPage(1, 1)), HasSubstr("page 1x1: a single pixel"));
  EXPECT_THAT(Refusal(CropPage(30000, 30000)), HasSubstr("page 30000x30000: over 178956970 pixels"));
  EXPECT_THAT(Refusal(CropPage(std::numeric_limits<int64_t>::max(), 2)), HasSubstr("page_width"));
  EXPECT_THAT(Refusal(CropPage(2048, 1)), HasSubstr("its shorter side vanishes in a view of 1024 pixels"));
  Workload narrow = CropPage(1, 2047);
  narrow.seq_len = 2000;
  EXPECT_TRUE(CheckWorkload(ModelSpec(), narrow).ok());
}

TEST(CheckWorkload, RefusesWhatSixtyFourBitsCannotCount) {
  Workload workload = Standard();
  workload.batch = 1 << 16;
  workload.seq_len = 1 << 20;
  workload.max_new_tokens = 1 << 20;
  EXPECT_THAT(Refusal(workload), HasSubstr("that can be counted; give smaller sizes"));
}

TEST(CheckModel, NamesTheFieldOfAnImpossibleModel) {
  ModelSpec model;
  model.decoder.heads = 7;
  EXPECT_THAT(Refusal(Standard(), model), HasSubstr("num_attention_heads 7: does not divide hidden_size 1280"));
  model = ModelSpec();
  model.decoder.hidden_size = int64_t{1} << 40;
  EXPECT_THAT(Refusal(Standard(), model), HasSubstr("hidden_size 1099511627776: not between 1 and"));
  model = ModelSpec();
  model.decoder.experts_per_token = 65;
  EXPECT_THAT(Refusal(Standard(), model), HasSubstr("num_experts_per_tok 65: not between 1 and 64"));
  model = ModelSpec();
  model.sam.downsample_channels = {512, 896};
  EXPECT_THAT(Refusal(Standard(), model), HasSubstr("the encoder after it has width 1024"));
}

}  // namespace
}  // namespace dsocr::analytic
