#include "daemon/catalog/workload_file.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::catalog {
namespace {

using analytic::ModelSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view profile_id, const v1::WorkloadOverrides& overrides, std::string_view dtype = "") {
  return std::string(ResolveWorkload(ModelSpec(), profile_id, overrides, dtype).status().message());
}

v1::WorkloadOverrides Own() {
  v1::WorkloadOverrides overrides;
  v1::OCRWorkloadProfile& profile = *overrides.mutable_profile();
  profile.set_profile_id("mine");
  profile.set_seq_len(200);
  profile.set_base_size(512);
  profile.set_image_size(512);
  profile.set_max_new_tokens(8);
  return overrides;
}

TEST(ResolveWorkload, WithoutOverridesGivesTheProfile) {
  const auto workload = ResolveWorkload(ModelSpec(), "dsocr-tiny-v1", {});
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_EQ(workload->profile_id, "dsocr-tiny-v1");
  EXPECT_EQ(workload->seq_len, 128);
}

TEST(ResolveWorkload, NamesWhatDiffersInTheIdWithKeysSorted) {
  v1::WorkloadOverrides overrides;
  overrides.set_seq_len(1024);
  overrides.set_page_width(1240);
  overrides.set_page_height(1754);
  overrides.set_max_new_tokens(64);  // the profile's own value
  const auto workload = ResolveWorkload(ModelSpec(), "dsocr-standard-v1", overrides, "fp32");
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_EQ(workload->profile_id, "dsocr-standard-v1+dtype=fp32,page_height=1754,page_width=1240,seq_len=1024");
  EXPECT_EQ(workload->precision, analytic::Precision::kFp32);
  EXPECT_EQ(analytic::LayOutImage(ModelSpec(), *workload).image_tokens(), 903);
}

TEST(ResolveWorkload, CropModeIsZeroOrOne) {
  v1::WorkloadOverrides overrides;
  overrides.set_crop_mode(0);
  const auto workload = ResolveWorkload(ModelSpec(), "dsocr-standard-v1", overrides);
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_EQ(workload->profile_id, "dsocr-standard-v1+crop_mode=0");
  EXPECT_FALSE(workload->crop_mode);
  overrides.set_crop_mode(2);
  EXPECT_THAT(ErrorOf("dsocr-standard-v1", overrides), HasSubstr("crop_mode = 2"));
}

TEST(ResolveWorkload, RefusesWhatTheModelCannotRun) {
  v1::WorkloadOverrides overrides;
  overrides.set_seq_len(73);
  EXPECT_THAT(ErrorOf("dsocr-tiny-v1", overrides), HasSubstr("seq_len 73"));
  EXPECT_THAT(ErrorOf("dsocr-tiny-v1", {}, "fp8"), HasSubstr("dtype 'fp8'"));
  EXPECT_THAT(ErrorOf("dsocr-tinny-v1", {}), HasSubstr("did you mean 'dsocr-tiny-v1'?"));
  EXPECT_EQ(ResolveWorkload(ModelSpec(), "zzz", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ResolveWorkload, FillsWhatAnOwnProfileLeavesOut) {
  const auto workload = ResolveWorkload(ModelSpec(), "", Own());
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_EQ(workload->page_width, 512);
  EXPECT_EQ(workload->page_height, 512);
  EXPECT_EQ(workload->batch, 1);
  EXPECT_EQ(workload->num_pages, 1);
  EXPECT_EQ(workload->doc_kind, analytic::DocKind::kMixedLayout);
  EXPECT_EQ(workload->precision, analytic::Precision::kBf16);
}

TEST(ResolveWorkload, AnOwnProfileTakesOverridesToo) {
  v1::WorkloadOverrides overrides = Own();
  overrides.set_seq_len(300);
  const auto workload = ResolveWorkload(ModelSpec(), "", overrides);
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_EQ(workload->profile_id, "mine+seq_len=300");
}

TEST(ResolveWorkload, AProfileReadsBackAsTheSameWorkload) {
  for (const analytic::Workload& listed : analytic::WorkloadCatalogue()) {
    v1::WorkloadOverrides overrides;
    *overrides.mutable_profile() = ProfileOf(ModelSpec(), listed);
    const auto workload = ResolveWorkload(ModelSpec(), "", overrides);
    ASSERT_TRUE(workload.ok()) << workload.status();
    EXPECT_EQ(ProfileOf(ModelSpec(), *workload).SerializeAsString(), overrides.profile().SerializeAsString());
  }
}

// What a profile of the catalogue becomes for DeepSeek-OCR-2.
TEST(ResolveWorkload, FitsEveryProfileToAnotherModel) {
  const struct {
    const char* profile_id;
    const char* id;
    int64_t image_tokens;
    int64_t seq_len;
  } rows[] = {{"dsocr-standard-v1", "dsocr-standard-v1+image_size=768", 257, 512},
              {"dsocr-tiny-v1", "dsocr-tiny-v1+seq_len=200", 145, 200},
              {"dsocr-small-v1", "dsocr-small-v1", 145, 256},
              {"dsocr-base-v1", "dsocr-base-v1", 257, 512},
              {"dsocr-large-v1", "dsocr-large-v1", 257, 640},
              {"dsocr-a4-v1", "dsocr-a4-v1+image_size=768,seq_len=1242", 1121, 1242}};
  const ModelSpec& model = analytic::ModelCatalogue()[1];
  for (const auto& row : rows) {
    const auto workload = ResolveWorkload(model, row.profile_id, {});
    ASSERT_TRUE(workload.ok()) << workload.status();
    EXPECT_EQ(workload->profile_id, row.id);
    EXPECT_EQ(analytic::LayOutImage(model, *workload).image_tokens(), row.image_tokens) << row.id;
    EXPECT_EQ(workload->seq_len, row.seq_len) << row.id;
  }
}

TEST(ResolveWorkload, WhatTheCallerGivesIsNotFitted) {
  const ModelSpec& model = analytic::ModelCatalogue()[1];
  v1::WorkloadOverrides overrides;
  overrides.set_image_size(640);
  EXPECT_THAT(std::string(ResolveWorkload(model, "dsocr-standard-v1", overrides).status().message()),
              HasSubstr("crop_mode 1 cuts crops of 768 pixels"));
  overrides.set_crop_mode(0);  // 640 again, as the profile has it
  EXPECT_EQ(ResolveWorkload(model, "dsocr-standard-v1", overrides)->profile_id, "dsocr-standard-v1+crop_mode=0");
  v1::WorkloadOverrides short_prompt;
  short_prompt.set_seq_len(1024);
  EXPECT_THAT(std::string(ResolveWorkload(model, "dsocr-a4-v1", short_prompt).status().message()),
              HasSubstr("seq_len 1024: the image alone takes 1121 tokens"));
  v1::WorkloadOverrides own = Own();
  own.mutable_profile()->set_crop_mode(true);
  EXPECT_THAT(std::string(ResolveWorkload(model, "", own).status().message()), HasSubstr("image_size 512"));
}

TEST(ResolveWorkload, RefusesHostileProfiles) {
  const auto broken = [](auto change) {
    v1::WorkloadOverrides overrides = Own();
    change(overrides.mutable_profile());
    return ErrorOf("", overrides);
  };
  using Profile = v1::OCRWorkloadProfile;
  EXPECT_THAT(broken([](Profile* p) { p->set_profile_id(""); }), HasSubstr("profile_id"));
  EXPECT_THAT(broken([](Profile* p) { p->set_profile_id("a\nb"); }), HasSubstr("profile_id"));
  EXPECT_THAT(broken([](Profile* p) { p->set_profile_id("dsocr-tiny-v1"); }), HasSubstr("other values"));
  EXPECT_THAT(broken([](Profile* p) { p->set_batch(2); }), HasSubstr("batch = 2"));
  EXPECT_THAT(broken([](Profile* p) { p->set_num_pages(2); }), HasSubstr("num_pages 2"));
  EXPECT_THAT(broken([](Profile* p) { p->set_image_tokens(74); }), HasSubstr("image_tokens = 74: the page makes 73"));
  EXPECT_THAT(broken([](Profile* p) { p->add_crop_grid(2); }), HasSubstr("crop_grid = [2]"));
  EXPECT_THAT(broken([](Profile* p) { p->set_dtype("int8"); }), HasSubstr("dtype 'int8'"));
  EXPECT_THAT(broken([](Profile* p) { p->set_base_size(-16); }), HasSubstr("base_size -16"));
  EXPECT_THAT(broken([](Profile* p) { p->set_seq_len(INT64_MIN); }), HasSubstr("seq_len"));
}

TEST(DescribeWorkload, LaysOutAPageThatSeqLenWouldNotHold) {
  v1::WorkloadOverrides overrides;
  overrides.set_page_width(1240);
  overrides.set_page_height(1754);
  const auto description = DescribeWorkload(ModelSpec(), "dsocr-standard-v1", overrides);
  ASSERT_TRUE(description.ok()) << description.status();
  EXPECT_THAT(description->crop_grid(), ElementsAre(2, 3));
  EXPECT_EQ(description->num_crops(), 6);
  EXPECT_EQ(description->image_tokens(), 903);
  EXPECT_EQ(description->local_rows_tokens(), 630);
  EXPECT_EQ(description->global_rows_tokens(), 272);
  EXPECT_EQ(description->view_separator_tokens(), 1);
  EXPECT_EQ(description->seq_len_min(), 904);
}

}  // namespace
}  // namespace dsocr::catalog
