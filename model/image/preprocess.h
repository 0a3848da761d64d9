// From a page to the views that the network sees.
//
//   page ─┬─ crop_mode, page over the threshold: resized to w x h tiles, cut row-major ──► crops  [P,3,T,T]
//         └─ padded (or squashed) to one square ────────────────────────────────────────► global [3,G,G]
//
// Bit-exact with the published model's own preprocessing under Pillow 11.3. Pure functions: safe from any thread.
#ifndef DSOCR_MODEL_IMAGE_PREPROCESS_H_
#define DSOCR_MODEL_IMAGE_PREPROCESS_H_

#include <vector>

#include "model/image/image.h"

namespace dsocr::model {

// Defaults are what the published code has hard-wired.
struct PreprocessConfig {
  bool crop_mode = true;
  int base_size = 1024;             // side of the global view in crop mode, pixels
  int image_size = 640;             // side of the only view without crop mode; in crop mode it must be crop_tile_size
  int small_image_threshold = 640;  // pages up to this in both directions are not cropped
  int crop_tile_size = 640;         // side of a crop, pixels
  int direct_resize_max = 640;      // without crop mode, views up to this are squashed instead of padded
  int min_num = 2;                  // fewest crops of a cropped page
  int max_num = 9;                  // most
  int patch_size = 16;              // pixels; SAM's patch side. Sizes of views are multiples of it
};

// Throws InputError (invalid_argument) naming the field: sizes that are not positive multiples of patch_size, crop_mode
// with another image_size than crop_tile_size, an empty range of crop counts.
void CheckConfig(const PreprocessConfig& config);

// How a page is laid out in image tokens: [local rows][global rows][separator]; each raster row ends with one newline
// token.
struct TokenLayout {
  int crops_wide = 1;  // crop grid; 1 x 1 means no crops
  int crops_high = 1;
  int local_rows_tokens = 0;
  int global_rows_tokens = 0;
  int view_separator_tokens = 1;

  int num_crops() const { return crops_wide * crops_high > 1 ? crops_wide * crops_high : 0; }
  int image_tokens() const { return local_rows_tokens + global_rows_tokens + view_separator_tokens; }
};

// REQUIRES: page sides > 0. Example: 1240x1754 in the default configuration -> 2x3 crops, 630 + 272 + 1 tokens.
TokenLayout LayoutTokens(Size page, const PreprocessConfig& config);

// LayoutTokens(...).image_tokens().
int ImageTokens(Size page, const PreprocessConfig& config);

// The views, normalised to (x / 255 - 0.5) / 0.5, channels first.
struct Views {
  std::vector<float>
      crops;  // [P, 3, crop_side, crop_side], P = crops_wide * crops_high, row-major over the grid; empty: no crops
  int crops_wide = 1;
  int crops_high = 1;
  int crop_side = 0;          // pixels; 0: no crops
  std::vector<float> global;  // [3, global_side, global_side]
  int global_side = 0;        // pixels
};

// Throws InputError as CheckConfig, ResizeBicubic and ContainedSize do.
Views MakeViews(const Image& page, const PreprocessConfig& config);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_IMAGE_PREPROCESS_H_
