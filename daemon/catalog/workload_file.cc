#include "daemon/catalog/workload_file.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::catalog {
namespace {

using analytic::DocKind;
using analytic::ImageLayout;
using analytic::ModelSpec;
using analytic::Precision;
using analytic::Workload;

constexpr size_t kLongestProfileId = 200;

absl::Status Wrong(std::string_view field, int64_t value, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("workload: {} = {}: {}", field, value, why));
}

absl::Status CheckProfileId(const std::string& id) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+=,-";
  if (id.empty() || id.size() > kLongestProfileId || id.find_first_not_of(kAllowed) != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("workload: profile_id has {} characters, not all of them allowed or not 1 to {}; use letters, "
                    "digits and ._+=,-",
                    id.size(), kLongestProfileId));
  }
  return absl::OkStatus();
}

DocKind DocKindOf(v1::DocKind kind) {
  switch (kind) {
    case v1::DOC_KIND_TEXT_HEAVY:
      return DocKind::kTextHeavy;
    case v1::DOC_KIND_IMAGE_RICH:
      return DocKind::kImageRich;
    case v1::DOC_KIND_SYNTHETIC:
      return DocKind::kSynthetic;
    default:
      return DocKind::kMixedLayout;
  }
}

v1::DocKind DocKindOf(DocKind kind) {
  switch (kind) {
    case DocKind::kTextHeavy:
      return v1::DOC_KIND_TEXT_HEAVY;
    case DocKind::kMixedLayout:
      return v1::DOC_KIND_MIXED_LAYOUT;
    case DocKind::kImageRich:
      return v1::DOC_KIND_IMAGE_RICH;
    case DocKind::kSynthetic:
      return v1::DOC_KIND_SYNTHETIC;
  }
  return v1::DOC_KIND_UNSPECIFIED;
}

// What a profile states beside the values that decide must agree with them.
absl::Status CheckDerived(const ModelSpec& model, const Workload& workload, const v1::OCRWorkloadProfile& stated) {
  const v1::OCRWorkloadProfile derived = ProfileOf(model, workload);
  if (stated.image_tokens() != 0 && stated.image_tokens() != derived.image_tokens()) {
    return Wrong("image_tokens", stated.image_tokens(),
                 fmt::format("the page makes {}; leave it out", derived.image_tokens()));
  }
  if (stated.crop_grid_size() != 0 && (stated.crop_grid_size() != 2 || stated.crop_grid(0) != derived.crop_grid(0) ||
                                       stated.crop_grid(1) != derived.crop_grid(1))) {
    return absl::InvalidArgumentError(fmt::format("workload: crop_grid = [{}]: the page makes [{}, {}]; leave it out",
                                                  fmt::join(stated.crop_grid(), ", "), derived.crop_grid(0),
                                                  derived.crop_grid(1)));
  }
  return absl::OkStatus();
}

// BASE+key=value,… of what differs from the profile, keys sorted.
std::string IdOf(const Workload& profile, const Workload& workload) {
  std::string id = profile.profile_id;
  char separator = '+';
  const auto add = [&](std::string_view key, const auto& before, const auto& now) {
    if (now != before) {
      id += fmt::format("{}{}={}", separator, key, now);
      separator = ',';
    }
  };
  add("base_size", profile.base_size, workload.base_size);
  add("crop_mode", int{profile.crop_mode}, int{workload.crop_mode});
  add("dtype", analytic::PrecisionName(profile.precision), analytic::PrecisionName(workload.precision));
  add("image_size", profile.image_size, workload.image_size);
  add("max_new_tokens", profile.max_new_tokens, workload.max_new_tokens);
  add("page_height", profile.page_height, workload.page_height);
  add("page_width", profile.page_width, workload.page_width);
  add("seq_len", profile.seq_len, workload.seq_len);
  return id;
}

absl::Status Apply(const v1::WorkloadOverrides& overrides, std::string_view dtype, Workload* workload) {
  const auto set = [](bool is_given, int64_t value, int64_t* target) { *target = is_given ? value : *target; };
  set(overrides.has_base_size(), overrides.base_size(), &workload->base_size);
  set(overrides.has_image_size(), overrides.image_size(), &workload->image_size);
  set(overrides.has_max_new_tokens(), overrides.max_new_tokens(), &workload->max_new_tokens);
  set(overrides.has_page_height(), overrides.page_height(), &workload->page_height);
  set(overrides.has_page_width(), overrides.page_width(), &workload->page_width);
  set(overrides.has_seq_len(), overrides.seq_len(), &workload->seq_len);
  if (overrides.has_crop_mode()) {
    if (overrides.crop_mode() != 0 && overrides.crop_mode() != 1) {
      return Wrong("crop_mode", overrides.crop_mode(), "neither 0 nor 1; give one of these");
    }
    workload->crop_mode = overrides.crop_mode() == 1;
  }
  if (!dtype.empty()) {
    DSOCR_ASSIGN_OR_RETURN(workload->precision, ParseDtype(dtype));
  }
  return absl::OkStatus();
}

// A profile of the catalogue as `model` reads its page: crops are of its tile, and where its image tokens would not fit
// into the prompt, the prompt is as much longer as keeps the profile's text.
void FitToModel(const ModelSpec& model, Workload* workload) {
  const int64_t text_tokens =
      workload->seq_len - analytic::LayOutImage(analytic::ModelCatalogue().front(), *workload).image_tokens();
  if (workload->crop_mode) {
    workload->image_size = model.preprocess.crop_tile_size;
  }
  if (!analytic::CheckPage(model, *workload).ok()) {
    return;  // an override may mend it; if not, the check after it says what is wrong
  }
  const int64_t image_tokens = analytic::LayOutImage(model, *workload).image_tokens();
  if (workload->seq_len <= image_tokens) {
    workload->seq_len = image_tokens + text_tokens;
  }
}

// A caller's profile may not pass for one of the catalogue.
absl::Status CheckNotDisguised(const ModelSpec& model, const Workload& own) {
  const absl::StatusOr<Workload> listed = analytic::FindWorkload(own.profile_id);
  if (!listed.ok()) {
    return absl::OkStatus();
  }
  v1::OCRWorkloadProfile a = ProfileOf(model, own);
  v1::OCRWorkloadProfile b = ProfileOf(model, *listed);
  a.clear_description();
  b.clear_description();
  if (a.SerializeAsString() != b.SerializeAsString()) {
    return absl::InvalidArgumentError(fmt::format(
        "workload: profile_id = '{}': the catalogue has it with other values; choose another name", own.profile_id));
  }
  return absl::OkStatus();
}

// A caller's profile; its seq_len is yet to be checked.
absl::StatusOr<Workload> OwnProfile(const ModelSpec& model, const v1::OCRWorkloadProfile& profile) {
  DSOCR_ASSIGN_OR_RETURN(Workload workload, WorkloadOf(profile));
  DSOCR_RETURN_IF_ERROR(analytic::CheckPage(model, workload));
  DSOCR_RETURN_IF_ERROR(CheckDerived(model, workload, profile));
  DSOCR_RETURN_IF_ERROR(CheckNotDisguised(model, workload));
  return workload;
}

// The profile with its overrides, yet to be checked.
absl::StatusOr<Workload> Override(const ModelSpec& model, std::string_view profile_id,
                                  const v1::WorkloadOverrides& overrides, std::string_view dtype) {
  DSOCR_ASSIGN_OR_RETURN(const Workload profile, overrides.has_profile() ? OwnProfile(model, overrides.profile())
                                                                         : analytic::FindWorkload(profile_id));
  Workload workload = profile;
  if (!overrides.has_profile()) {
    FitToModel(model, &workload);
  }
  DSOCR_RETURN_IF_ERROR(Apply(overrides, dtype, &workload));
  workload.profile_id = IdOf(profile, workload);
  return workload;
}

}  // namespace

absl::StatusOr<Precision> ParseDtype(std::string_view name) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    if (name == analytic::PrecisionName(precision)) {
      return precision;
    }
  }
  return absl::InvalidArgumentError(fmt::format("dtype '{:.20}': not one that is known; use fp32 or bf16", name));
}

absl::StatusOr<Workload> ResolveWorkload(const ModelSpec& model, std::string_view profile_id,
                                         const v1::WorkloadOverrides& overrides, std::string_view dtype) {
  DSOCR_ASSIGN_OR_RETURN(const Workload workload, Override(model, profile_id, overrides, dtype));
  DSOCR_RETURN_IF_ERROR(analytic::CheckWorkload(model, workload));
  return workload;
}

absl::StatusOr<Workload> WorkloadOf(const v1::OCRWorkloadProfile& profile) {
  DSOCR_RETURN_IF_ERROR(CheckProfileId(profile.profile_id()));
  Workload workload;
  workload.profile_id = profile.profile_id();
  workload.description = profile.description();
  workload.seq_len = profile.seq_len();
  workload.base_size = profile.base_size();
  workload.image_size = profile.image_size();
  workload.crop_mode = profile.crop_mode();
  workload.max_new_tokens = profile.max_new_tokens();
  workload.doc_kind = DocKindOf(profile.doc_kind());
  workload.num_pages = profile.num_pages() == 0 ? 1 : profile.num_pages();
  workload.batch = profile.batch() == 0 ? 1 : profile.batch();
  workload.page_width = profile.page_width() == 0 ? profile.image_size() : profile.page_width();
  workload.page_height = profile.page_height() == 0 ? profile.image_size() : profile.page_height();
  if (!profile.dtype().empty()) {
    DSOCR_ASSIGN_OR_RETURN(workload.precision, ParseDtype(profile.dtype()));
  }
  if (workload.batch != 1) {
    return Wrong("batch", workload.batch, "a request is one page; give 1");
  }
  return workload;
}

v1::OCRWorkloadProfile ProfileOf(const ModelSpec& model, const Workload& workload) {
  const ImageLayout layout = analytic::LayOutImage(model, workload);
  v1::OCRWorkloadProfile profile;
  profile.set_profile_id(workload.profile_id);
  profile.set_description(workload.description);
  profile.set_seq_len(workload.seq_len);
  profile.set_base_size(workload.base_size);
  profile.set_image_size(workload.image_size);
  profile.set_crop_mode(workload.crop_mode);
  profile.set_max_new_tokens(workload.max_new_tokens);
  profile.set_doc_kind(DocKindOf(workload.doc_kind));
  profile.set_num_pages(workload.num_pages);
  profile.set_page_width(workload.page_width);
  profile.set_page_height(workload.page_height);
  profile.add_crop_grid(layout.crops_wide);
  profile.add_crop_grid(layout.crops_high);
  profile.set_image_tokens(layout.image_tokens());
  profile.set_batch(workload.batch);
  profile.set_dtype(std::string(analytic::PrecisionName(workload.precision)));
  return profile;
}

absl::StatusOr<v1::WorkloadDescription> DescribeWorkload(const ModelSpec& model, std::string_view profile_id,
                                                         const v1::WorkloadOverrides& overrides) {
  DSOCR_ASSIGN_OR_RETURN(const Workload workload, Override(model, profile_id, overrides, /*dtype=*/""));
  DSOCR_RETURN_IF_ERROR(analytic::CheckPage(model, workload));
  const ImageLayout layout = analytic::LayOutImage(model, workload);
  v1::WorkloadDescription description;
  description.add_crop_grid(layout.crops_wide);
  description.add_crop_grid(layout.crops_high);
  description.set_num_crops(layout.num_crops);
  description.set_image_tokens(layout.image_tokens());
  description.set_local_rows_tokens(layout.local_tokens);
  description.set_global_rows_tokens(layout.global_tokens);
  description.set_view_separator_tokens(layout.separator_tokens);
  description.set_seq_len_min(layout.image_tokens() + 1);
  return description;
}

}  // namespace dsocr::catalog
