#include "model/image/preprocess.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "model/error.h"
#include "model/image/resize.h"

namespace dsocr::model {
namespace {

constexpr uint8_t kPaddingLevel = 127;                  // int(0.5 * 255), the mean colour
constexpr int kPatchesPerQuery = 4;                     // net_2 and net_3 halve the patch grid twice
constexpr int64_t kMaxViewElements = int64_t{1} << 30;  // of one view group: 4 GiB of floats

struct Grid {
  int wide = 1;
  int high = 1;
};

// The grid of crops whose aspect is nearest to the page's. Candidates come in order of their crop count; an exact tie
// goes to the later one if the page has more than half of the pixels that it would show.
Grid ChooseGrid(Size page, const PreprocessConfig& config) {
  const double aspect = static_cast<double>(page.width) / page.height;
  const double area = static_cast<double>(page.width) * page.height;
  const double tile_area = static_cast<double>(config.crop_tile_size) * config.crop_tile_size;
  Grid best;
  double best_difference = std::numeric_limits<double>::infinity();
  for (int count = config.min_num; count <= config.max_num; ++count) {
    for (int wide = 1; wide <= count; ++wide) {
      if (count % wide != 0) {
        continue;
      }
      const int high = count / wide;
      const double difference = std::abs(aspect - static_cast<double>(wide) / high);
      if (difference < best_difference) {
        best_difference = difference;
        best = {wide, high};
      } else if (difference == best_difference && area > 0.5 * tile_area * count) {
        best = {wide, high};
      }
    }
  }
  return best;
}

Grid CropGrid(Size page, const PreprocessConfig& config) {
  const bool is_small = page.width <= config.small_image_threshold && page.height <= config.small_image_threshold;
  return config.crop_mode && !is_small ? ChooseGrid(page, config) : Grid{};
}

// Image tokens along one side of a view.
int QueriesPerSide(int view_side, const PreprocessConfig& config) {
  return (view_side / config.patch_size + kPatchesPerQuery - 1) / kPatchesPerQuery;
}

int GlobalSide(const PreprocessConfig& config) { return config.crop_mode ? config.base_size : config.image_size; }

// Every byte value normalised in fp32, as ToTensor and Normalize do it.
std::array<float, 256> NormalisedLevels() {
  std::array<float, 256> levels;
  for (int level = 0; level < 256; ++level) {
    levels[level] = (static_cast<float>(level) / 255.0f - 0.5f) / 0.5f;
  }
  return levels;
}

// Appends the square of `side` at (left, top) of `image` as [3, side, side].
void AppendNormalised(const Image& image, int left, int top, int side, std::vector<float>& out) {
  static const std::array<float, 256> levels = NormalisedLevels();
  for (int channel = 0; channel < 3; ++channel) {
    for (int y = 0; y < side; ++y) {
      const uint8_t* in = image.Row(top + y) + static_cast<size_t>(left) * 3 + channel;
      for (int x = 0; x < side; ++x, in += 3) {
        out.push_back(levels[*in]);
      }
    }
  }
}

InputError BadField(const char* field, int value, const std::string& why, const std::string& todo) {
  return InputError(ErrorCode::kInvalidArgument, std::string(field) + " " + std::to_string(value), why, todo);
}

}  // namespace

void CheckConfig(const PreprocessConfig& config) {
  if (config.patch_size <= 0) {
    throw BadField("patch_size", config.patch_size, "not positive", "give the side of a patch in pixels");
  }
  const std::pair<const char*, int> sides[] = {
      {"base_size", config.base_size}, {"image_size", config.image_size}, {"crop_tile_size", config.crop_tile_size}};
  for (const auto& [field, side] : sides) {
    if (side <= 0 || side % config.patch_size != 0) {
      throw BadField(field, side, "not a positive multiple of " + std::to_string(config.patch_size),
                     "give such a size");
    }
    if (3 * int64_t{side} * side > kMaxViewElements) {
      throw BadField(field, side, "a view of this size does not fit in memory", "give a smaller size");
    }
  }
  if (!config.crop_mode) {
    return;
  }
  if (config.image_size != config.crop_tile_size) {
    throw BadField("image_size", config.image_size,
                   "crop mode cuts tiles of " + std::to_string(config.crop_tile_size) + " pixels",
                   "give " + std::to_string(config.crop_tile_size) + " or switch crop mode off");
  }
  if (config.min_num < 1 || config.max_num < config.min_num) {
    throw BadField("max_num", config.max_num, "no crop count from " + std::to_string(config.min_num) + " up to it",
                   "give 1 <= min_num <= max_num");
  }
  if (int64_t{config.max_num} * 3 * config.crop_tile_size * config.crop_tile_size > kMaxViewElements) {
    throw BadField("max_num", config.max_num, "that many crops do not fit in memory", "give a smaller number");
  }
}

TokenLayout LayoutTokens(Size page, const PreprocessConfig& config) {
  const Grid grid = CropGrid(page, config);
  const int global_queries = QueriesPerSide(GlobalSide(config), config);
  TokenLayout layout;
  layout.crops_wide = grid.wide;
  layout.crops_high = grid.high;
  layout.global_rows_tokens = global_queries * (global_queries + 1);
  if (layout.num_crops() > 0) {
    const int queries = QueriesPerSide(config.crop_tile_size, config);
    layout.local_rows_tokens = grid.high * queries * (grid.wide * queries + 1);
  }
  return layout;
}

int ImageTokens(Size page, const PreprocessConfig& config) { return LayoutTokens(page, config).image_tokens(); }

Views MakeViews(const Image& page, const PreprocessConfig& config) {
  CheckConfig(config);
  Views views;
  const Grid grid = CropGrid({page.width, page.height}, config);
  views.crops_wide = grid.wide;
  views.crops_high = grid.high;
  if (grid.wide * grid.high > 1) {
    const int side = config.crop_tile_size;
    const Image tiles = ResizeBicubic(page, {grid.wide * side, grid.high * side});
    views.crop_side = side;
    views.crops.reserve(tiles.rgb.size());
    for (int row = 0; row < grid.high; ++row) {
      for (int column = 0; column < grid.wide; ++column) {
        AppendNormalised(tiles, column * side, row * side, side, views.crops);
      }
    }
  }
  views.global_side = GlobalSide(config);
  const bool is_squashed = !config.crop_mode && config.image_size <= config.direct_resize_max;
  const Image global = is_squashed
                           ? ResizeBicubic(page, {views.global_side, views.global_side})
                           : PadToSquare(page, views.global_side, {kPaddingLevel, kPaddingLevel, kPaddingLevel});
  views.global.reserve(global.rgb.size());
  AppendNormalised(global, 0, 0, views.global_side, views.global);
  return views;
}

}  // namespace dsocr::model
