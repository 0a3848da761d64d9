#include "analytic/workload.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "base/status.h"
#include "base/suggest.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

// Larger views than any mode of the model by far; SAM's global attention grows with the fourth power of the side.
constexpr int64_t kMaxViewSide = 8192;
// Pillow refuses larger images as decompression bombs (twice its MAX_IMAGE_PIXELS), so the reference cannot read them.
constexpr int64_t kMaxPagePixels = 178'956'970;
constexpr int64_t kMaxTokens = int64_t{1} << 20;
constexpr int64_t kMaxBatch = int64_t{1} << 16;
// A margin of two below the largest 64-bit integer, for figures that are not FLOPs but of their order.
constexpr double kMaxFlops = 4e18;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows and columns of features that a view of `side` pixels becomes: the patch grid, halved twice, odd sizes rounded
// up.
int64_t FeatureSide(const SamSpec& sam, int64_t side) { return CeilDiv(CeilDiv(side / sam.patch_size, 2), 2); }

int64_t RowsOf(const ClipSpec&, int64_t features) { return features; }
int64_t RowsOf(const QueryEncoderSpec& encoder, int64_t features) { return encoder.QueriesFor(features); }

CropGrid ChooseGrid(const PreprocessSpec& spec, const std::vector<CropGrid>& grids, int64_t width, int64_t height) {
  if (width <= spec.small_image_threshold && height <= spec.small_image_threshold) {
    return {};
  }
  const double aspect = static_cast<double>(width) / static_cast<double>(height);
  const double area = static_cast<double>(width) * static_cast<double>(height);
  const double half_tile = 0.5 * static_cast<double>(spec.crop_tile_size) * static_cast<double>(spec.crop_tile_size);
  CropGrid best;
  double best_difference = std::numeric_limits<double>::infinity();
  for (const CropGrid& grid : grids) {
    const double difference = std::abs(aspect - grid.aspect);
    const bool fills_half = area > half_tile * static_cast<double>(grid.wide * grid.high);
    if (difference < best_difference || (difference == best_difference && fills_half)) {
      best = grid;
      best_difference = difference;
    }
  }
  return best;
}

absl::Status CheckSide(std::string_view field, int64_t side, int64_t patch) {
  if (side <= 0) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not positive; give a multiple of {}", field, side, patch));
  }
  if (side > kMaxViewSide) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}: over {} pixels; give a smaller one", field, side, kMaxViewSide));
  }
  if (side % patch != 0) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not a multiple of the patch size {}; the next one is {}",
                                                  field, side, patch, CeilDiv(side, patch) * patch));
  }
  return absl::OkStatus();
}

absl::Status CheckCount(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    return absl::InvalidArgumentError(
        fmt::format("{0} {1}: not between {2} and {3}; give at least {2} and at most {3}", field, value, low, high));
  }
  return absl::OkStatus();
}

// An upper bound of the request's FLOPs and of every other figure, in floating point: says whether 64-bit integers will
// do.
double FlopsUpperBound(const ModelSpec& model, const Workload& workload, const ImageLayout& layout) {
  const auto as_double = [](int64_t value) { return static_cast<double>(value); };
  const auto vision = [&](int64_t views, int64_t side) {
    const SamSpec& sam = model.sam;
    const double grid = as_double(side / sam.patch_size) + as_double(sam.window_size);
    const double tokens = grid * grid;
    const double width = as_double(sam.width);
    const double per_token = (8 + 4 * sam.mlp_ratio) * width * width + 16 * tokens * (width + as_double(sam.heads));
    const double convs = 18 * as_double(sam.neck_channels) *
                             (width + as_double(sam.neck_channels) + as_double(sam.downsample_channels[0])) +
                         18 * as_double(sam.downsample_channels[0]) * as_double(sam.downsample_channels[1]) +
                         6 * width * as_double(sam.patch_size * sam.patch_size);
    const double sequence = tokens + 1 + as_double(ViewRows(model, side));
    const double encoder = std::visit(
        [&](const auto& spec) {
          const double encoder_width = as_double(spec.width);
          return as_double(spec.layers) * (8 * encoder_width * (encoder_width + as_double(spec.ffn_hidden_size)) +
                                           16 * sequence * encoder_width);
        },
        model.encoder);
    const double projector = 4 * as_double(model.encoder_width()) * as_double(model.decoder.hidden_size);
    return as_double(views) * sequence * (as_double(sam.layers) * 2 * per_token + convs + encoder + projector);
  };
  const DecoderSpec& decoder = model.decoder;
  const double hidden = as_double(decoder.hidden_size);
  const double keys = as_double(workload.seq_len + workload.max_new_tokens);
  const double mlp =
      6 * hidden *
      std::max(as_double(decoder.intermediate_size), as_double(decoder.moe_intermediate_size) *
                                                         as_double(decoder.experts_per_token + decoder.shared_experts));
  const double layer = 8 * hidden * hidden + 16 * keys * hidden + mlp + 16 * hidden * as_double(decoder.routed_experts);
  const double token = as_double(decoder.layers) * layer + 16 * hidden * as_double(decoder.vocab_size);
  return as_double(workload.batch) *
         (vision(layout.num_crops, layout.crop_side) + vision(1, layout.global_side) + 2 * keys * token);
}

Workload Profile(std::string_view id, std::string_view description, int64_t base, int64_t image, bool crop,
                 int64_t page_width, int64_t page_height, int64_t seq_len) {
  Workload workload;
  workload.profile_id = id;
  workload.description = description;
  workload.seq_len = seq_len;
  workload.base_size = base;
  workload.image_size = image;
  workload.crop_mode = crop;
  workload.page_width = page_width;
  workload.page_height = page_height;
  workload.max_new_tokens = 64;
  return workload;
}

}  // namespace

int64_t ViewRows(const ModelSpec& model, int64_t side) {
  const int64_t features_side = FeatureSide(model.sam, side);
  return std::visit([&](const auto& encoder) { return RowsOf(encoder, features_side * features_side); }, model.encoder);
}

std::vector<CropGrid> CropGridsOf(const PreprocessSpec& spec) {
  std::vector<CropGrid> grids;
  for (int64_t crops = spec.min_crops; crops <= spec.max_crops; ++crops) {
    for (int64_t wide = 1; wide <= crops; ++wide) {
      if (crops % wide == 0) {
        const int64_t high = crops / wide;
        grids.push_back({wide, high, static_cast<double>(wide) / static_cast<double>(high)});
      }
    }
  }
  return grids;
}

ImageLayout LayOutImage(const ModelSpec& model, const Workload& workload) {
  return LayOutImage(model, workload, workload.crop_mode ? CropGridsOf(model.preprocess) : std::vector<CropGrid>());
}

ImageLayout LayOutImage(const ModelSpec& model, const Workload& workload, const std::vector<CropGrid>& grids) {
  const bool has_newlines = model.preprocess.has_newlines;
  ImageLayout layout;
  layout.global_side = workload.crop_mode ? workload.base_size : workload.image_size;
  layout.global_tokens = ViewRows(model, layout.global_side);
  if (has_newlines) {
    layout.global_tokens += FeatureSide(model.sam, layout.global_side);
  }
  if (!workload.crop_mode) {
    return layout;
  }
  const CropGrid grid = ChooseGrid(model.preprocess, grids, workload.page_width, workload.page_height);
  if (grid.wide * grid.high > 1) {
    layout.crops_wide = grid.wide;
    layout.crops_high = grid.high;
    layout.num_crops = grid.wide * grid.high;
    layout.crop_side = workload.image_size;
    layout.local_tokens = layout.num_crops * ViewRows(model, layout.crop_side);
    if (has_newlines) {
      layout.local_tokens += grid.high * FeatureSide(model.sam, layout.crop_side);
    }
  }
  return layout;
}

static absl::Status CheckViews(const ModelSpec& model, const Workload& workload) {
  DSOCR_RETURN_IF_ERROR(CheckSide("base_size", workload.base_size, model.sam.patch_size));
  DSOCR_RETURN_IF_ERROR(CheckSide("image_size", workload.image_size, model.sam.patch_size));
  if (workload.crop_mode && workload.image_size != model.preprocess.crop_tile_size) {
    return absl::InvalidArgumentError(
        fmt::format("image_size {0}: crop_mode 1 cuts crops of {1} pixels; give image_size {1} or crop_mode 0",
                    workload.image_size, model.preprocess.crop_tile_size));
  }
  DSOCR_RETURN_IF_ERROR(CheckCount("page_width", workload.page_width, 1, kMaxPagePixels));
  DSOCR_RETURN_IF_ERROR(CheckCount("page_height", workload.page_height, 1, kMaxPagePixels));
  const int64_t pixels = workload.page_width * workload.page_height;
  if (pixels > kMaxPagePixels) {
    return absl::InvalidArgumentError(fmt::format("page {}x{}: over {} pixels; give a smaller page",
                                                  workload.page_width, workload.page_height, kMaxPagePixels));
  }
  if (pixels == 1) {
    return absl::InvalidArgumentError("page 1x1: a single pixel is no page; give a larger one");
  }
  // A view that keeps the aspect ratio pads the shorter side, which must not vanish when it is rounded (half to even).
  const bool is_padded = workload.crop_mode || workload.image_size > model.preprocess.direct_resize_max;
  const int64_t view = workload.crop_mode ? workload.base_size : workload.image_size;
  const auto [shorter, longer] = std::minmax(workload.page_width, workload.page_height);
  if (is_padded && 2 * shorter * view <= longer) {
    return absl::InvalidArgumentError(
        fmt::format("page {}x{}: its shorter side vanishes in a view of {} pixels; give a page "
                    "with an aspect ratio under {}",
                    workload.page_width, workload.page_height, view, 2 * view));
  }
  return absl::OkStatus();
}

absl::Status CheckPage(const ModelSpec& model, const Workload& workload) {
  DSOCR_RETURN_IF_ERROR(CheckModel(model));
  return CheckViews(model, workload);
}

absl::Status CheckWorkload(const ModelSpec& model, const Workload& workload) {
  DSOCR_RETURN_IF_ERROR(CheckModel(model));
  return CheckedLayout(model, workload, CropGridsOf(model.preprocess)).status();
}

absl::StatusOr<ImageLayout> CheckedLayout(const ModelSpec& model, const Workload& workload,
                                          const std::vector<CropGrid>& grids) {
  DSOCR_RETURN_IF_ERROR(CheckViews(model, workload));
  DSOCR_RETURN_IF_ERROR(CheckCount("seq_len", workload.seq_len, 1, kMaxTokens));
  DSOCR_RETURN_IF_ERROR(CheckCount("max_new_tokens", workload.max_new_tokens, 1, kMaxTokens));
  DSOCR_RETURN_IF_ERROR(CheckCount("batch", workload.batch, 1, kMaxBatch));
  if (workload.num_pages != 1) {
    return absl::InvalidArgumentError(
        fmt::format("num_pages {}: a request reads one page; give num_pages 1", workload.num_pages));
  }
  const ImageLayout layout = LayOutImage(model, workload, grids);
  if (workload.seq_len < layout.image_tokens() + 1) {
    return absl::InvalidArgumentError(fmt::format("seq_len {}: the image alone takes {} tokens; give at least {}",
                                                  workload.seq_len, layout.image_tokens(), layout.image_tokens() + 1));
  }
  if (const double flops = FlopsUpperBound(model, workload, layout); flops > kMaxFlops) {
    return absl::InvalidArgumentError(
        fmt::format("workload '{}': about {:.0e} FLOPs, over the {:.0e} that can be counted; give smaller sizes",
                    workload.profile_id, flops, kMaxFlops));
  }
  return layout;
}

const std::vector<Workload>& WorkloadCatalogue() {
  static const auto& catalogue = *new std::vector<Workload>{
      Profile("dsocr-standard-v1", "one 1024 view, crop mode on, page small enough for no crops", 1024, 640, true, 600,
              600, 512),
      Profile("dsocr-tiny-v1", "one 512 view", 512, 512, false, 512, 512, 128),
      Profile("dsocr-small-v1", "one 640 view", 640, 640, false, 640, 640, 256),
      Profile("dsocr-base-v1", "one 1024 view", 1024, 1024, false, 1024, 1024, 512),
      Profile("dsocr-large-v1", "one 1280 view", 1280, 1280, false, 1280, 1280, 640),
      Profile("dsocr-a4-v1", "an A4 page at 150 dpi: a 1024 view and six 640 crops", 1024, 640, true, 1240, 1754, 1024),
  };
  return catalogue;
}

absl::StatusOr<Workload> FindWorkload(std::string_view profile_id) {
  std::vector<std::string> names;
  for (const Workload& workload : WorkloadCatalogue()) {
    if (workload.profile_id == profile_id) {
      return workload;
    }
    names.push_back(workload.profile_id);
  }
  return absl::NotFoundError(fmt::format("no workload '{}': not in the catalogue{}", profile_id,
                                         DidYouMean(profile_id, names, "'dsocrctl workloads' lists them")));
}

}  // namespace dsocr::analytic
