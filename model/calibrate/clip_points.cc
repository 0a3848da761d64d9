// The operators of model/clip.cc and model/projector.cc, for views of one size.
#include <ATen/ATen.h>

#include "model/calibrate/bench.h"
#include "model/layers.h"
#include "model/products.h"

namespace dsocr::model {
namespace {

constexpr int64_t kWidth = 1024;
constexpr int64_t kHidden = 4096;
constexpr int64_t kHeads = 16;
constexpr int64_t kHeadDim = kWidth / kHeads;
constexpr int64_t kNativeGrid = 16;
constexpr int64_t kLanguageWidth = 1280;
constexpr double kEps = 1e-5;
constexpr double kQuickGeluSlope = 1.702;

Point LinearPoint(const std::string& name, int64_t views, int64_t rows, int64_t in, int64_t out, int64_t element) {
  const GemmShape shape = {.m = views * rows, .n = out, .k = in, .has_bias = true};
  return {"gemm", name, GemmWork(shape, element),
          [views, rows, in, out](Bench& bench) {
            return
                [x = bench.Activation({views, rows, in}), w = bench.Weight({out, in}), b = bench.Filled({out}, 0.5)] {
                  Linear{w->Next(), b}(x);
                };
          },
          shape};
}

Point PositionResize(const std::string& name, int64_t queries, int64_t element) {
  const ResizeShape shape = {.channels = kWidth,
                             .in_height = kNativeGrid,
                             .in_width = kNativeGrid,
                             .out_height = queries,
                             .out_width = queries,
                             .is_antialiased = true};
  return {"interpolate", name, ResizeWork(shape, element), [queries](Bench& bench) {
            return [x = bench.Filled({1, kNativeGrid, kNativeGrid, kWidth}, 0.5), queries] {
              at::_upsample_bicubic2d_aa(x.permute({0, 3, 1, 2}).to(at::kFloat), {queries, queries},
                                         /*align_corners=*/false)
                  .permute({0, 2, 3, 1})
                  .to(x.scalar_type());
            };
          }};
}

}  // namespace

std::vector<Point> ClipPoints(const Bench& bench, int64_t queries, int64_t views) {
  const int64_t element = bench.element_bytes();
  const int64_t patches = queries * queries;
  const int64_t length = patches + 1;  // the class token
  const int64_t rows = views * length;
  const std::string count = views > 1 ? std::to_string(views) + "x" : "";
  const std::string clip = "clip " + count + std::to_string(length) + " ";
  const std::string projector = "projector " + count + std::to_string(patches) + " ";
  const AttentionShape core = {views, kHeads, length, length, kHeadDim};
  std::vector<Point> points = {
      {"copy", clip + "concat", CopyWork(rows * kWidth, rows * kWidth, element),
       [views, patches](Bench& b) {
         return [first = b.Filled({views, 1, kWidth}, 0.5), rest = b.Activation({views, patches, kWidth})] {
           at::cat({first, rest}, 1);
         };
       }},
      {"norm", clip + "layer_norm", LayerNormWork(rows, kWidth, element),
       [rows](Bench& b) {
         return
             [x = b.Activation({rows, kWidth}), w = b.Filled({kWidth}, 1)] { at::layer_norm(x, {kWidth}, w, w, kEps); };
       }},
      LinearPoint(clip + "qkv_proj", views, length, kWidth, 3 * kWidth, element),
      {"copy", clip + "split_heads", CopyWork(3 * rows * kWidth, 3 * rows * kWidth, element),
       [views, length](Bench& b) {
         return [x = b.Activation({views, length, 3, kHeads, kHeadDim})] { x.permute({2, 0, 3, 1, 4}).contiguous(); };
       }},
      {"attention", clip + "core", AttentionWork(core, element),
       [views, length](Bench& b) {
         return
             [qkv = b.Activation({3, views, kHeads, length, kHeadDim})] { AttentionProduct(qkv[0], qkv[1], qkv[2]); };
       },
       core},
      {"copy", clip + "merge_heads", CopyWork(rows * kWidth, rows * kWidth, element),
       [views, length](Bench& b) {
         return [x = b.Activation({views, kHeads, length, kHeadDim})] { x.transpose(1, 2).contiguous(); };
       }},
      LinearPoint(clip + "out_proj", views, length, kWidth, kWidth, element),
      {"elementwise", clip + "residual", ElementwiseWork(2 * rows * kWidth, rows * kWidth, element),
       [rows](Bench& b) {
         return [x = b.Activation({rows, kWidth}), y = b.Filled({rows, kWidth}, 0)] { x.add_(y); };
       }},
      LinearPoint(clip + "fc1", views, length, kWidth, kHidden, element),
      {"activation", clip + "quick_gelu", QuickGeluWork(rows * kHidden, element),
       [rows](Bench& b) {
         return [x = b.Activation({rows, kHidden})] { x.mul_(at::mul(x, kQuickGeluSlope).sigmoid_()); };
       }},
      LinearPoint(clip + "fc2", views, length, kHidden, kWidth, element),
      {"copy", projector + "concat", CopyWork(2 * views * patches * kWidth, 2 * views * patches * kWidth, element),
       [views, patches](Bench& b) {
         return [clip = b.Activation({views, patches, kWidth}), sam = b.Filled({views, patches, kWidth}, 0.5)] {
           at::cat({clip, sam}, -1);
         };
       }},
      LinearPoint(projector + "matmul", views, patches, 2 * kWidth, kLanguageWidth, element),
  };
  if (queries != kNativeGrid) {
    points.push_back(PositionResize(clip + "position_embedding", queries, element));
  }
  return points;
}

}  // namespace dsocr::model
