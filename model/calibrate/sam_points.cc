// The operators of model/sam.cc, for views of one size.
#include <ATen/ATen.h>

#include "model/calibrate/bench.h"
#include "model/layers.h"
#include "model/products.h"

namespace dsocr::model {
namespace {

constexpr int64_t kWidth = 768;
constexpr int64_t kHidden = 4 * kWidth;
constexpr int64_t kHeads = 12;
constexpr int64_t kHeadDim = kWidth / kHeads;
constexpr int64_t kPatch = 16;
constexpr int64_t kWindow = 14;
constexpr int64_t kNativeGrid = 64;
constexpr int64_t kNeck = 256;
constexpr double kEps = 1e-6;

class SamTable {
 public:
  SamTable(int64_t element_bytes, int64_t side, int64_t views)
      : element_(element_bytes),
        grid_(side / kPatch),
        views_(views),
        prefix_("sam " + (views > 1 ? std::to_string(views) + "x" : "") + std::to_string(side)) {}

  std::vector<Point> Points() {
    AddConv("patch_embed", 3, kWidth, grid_ * kPatch, kPatch, kPatch);
    if (grid_ != kNativeGrid) {
      AddResizes();
    }
    AddNorm();
    const int64_t across = (grid_ + kWindow - 1) / kWindow;
    AddPartition(across);
    AddAttention("window", views_ * across * across, kWindow);
    AddAttention("global", views_, grid_);
    AddMlp();
    AddNeck();
    return std::move(points_);
  }

 private:
  void Add(const std::string& category, const std::string& name, const Work& work, std::function<Body(Bench&)> prepare,
           const PointSize& size = {}) {
    points_.push_back({category, prefix_ + " " + name, work, std::move(prepare), size});
  }

  void AddLinear(const std::string& name, int64_t rows, int64_t in, int64_t out) {
    const GemmShape shape = {.m = rows, .n = out, .k = in, .has_bias = true};
    Add(
        "gemm", name, GemmWork(shape, element_),
        [rows, in, out](Bench& bench) {
          return [x = bench.Activation({rows, in}), w = bench.Weight({out, in}), b = bench.Filled({out}, 0.5)] {
            Linear{w->Next(), b}(x);
          };
        },
        shape);
  }

  void AddConv(const std::string& name, int64_t in, int64_t out, int64_t in_side, int64_t kernel, int64_t stride) {
    const bool is_patch = stride == kernel && kernel > 1;
    const int64_t out_side = (in_side + stride - 1) / stride;
    const ConvShape shape = {in, out, in_side, out_side, kernel, is_patch, views_};
    Add("conv", name, ConvWork(shape, element_), [shape, stride, is_patch](Bench& bench) {
      const int64_t padding = is_patch ? 0 : shape.kernel / 2;
      std::optional<at::Tensor> bias;
      if (is_patch) {
        bias = bench.Filled({shape.out_channels}, 0.5);
      }
      const at::Tensor x = bench.Activation({shape.images, shape.in_side, shape.in_side, shape.in_channels});
      return [x = x.permute({0, 3, 1, 2}), bias, stride, padding,
              w = bench.Weight({shape.out_channels, shape.in_channels, shape.kernel, shape.kernel})] {
        ConvProduct(x, w->Next(), bias, stride, padding);
      };
    });
  }

  void AddResizes() {
    const ResizeShape table = {.channels = kWidth,
                               .in_height = kNativeGrid,
                               .in_width = kNativeGrid,
                               .out_height = grid_,
                               .out_width = grid_,
                               .is_antialiased = true};
    Add("interpolate", "pos_embed", ResizeWork(table, element_), [grid = grid_](Bench& bench) {
      return [x = bench.Filled({1, kNativeGrid, kNativeGrid, kWidth}, 0.5), grid] {
        at::_upsample_bicubic2d_aa(x.permute({0, 3, 1, 2}).to(at::kFloat), {grid, grid}, /*align_corners=*/false)
            .permute({0, 2, 3, 1})
            .to(x.scalar_type());
      };
    });
    const ResizeShape rows = {
        .channels = 2 * kHeadDim, .in_width = 2 * kNativeGrid - 1, .out_width = 2 * grid_ - 1, .taps = 2};
    Add("interpolate", "rel_pos", ResizeWork(rows, element_), [grid = grid_](Bench& bench) {
      return [h = bench.Filled({2 * kNativeGrid - 1, kHeadDim}, 0.5),
              w = bench.Filled({2 * kNativeGrid - 1, kHeadDim}, 0.5), length = 2 * grid - 1] {
        for (const at::Tensor& x : {h, w}) {
          at::upsample_linear1d(x.t().unsqueeze(0).to(at::kFloat), {length}, /*align_corners=*/false)
              .squeeze(0)
              .t()
              .to(x.scalar_type());
        }
      };
    });
  }

  void AddNorm() {
    const int64_t tokens = views_ * grid_ * grid_;
    Add("norm", "norm1", LayerNormWork(tokens, kWidth, element_), [tokens](Bench& bench) {
      return [x = bench.Activation({tokens, kWidth}), w = bench.Filled({kWidth}, 1)] {
        at::layer_norm(x, {kWidth}, w, w, kEps);
      };
    });
  }

  // With the residual before it.
  void AddMlp() {
    const int64_t tokens = views_ * grid_ * grid_;
    Add("elementwise", "residual", ElementwiseWork(2 * tokens * kWidth, tokens * kWidth, element_),
        [tokens](Bench& bench) {
          return [x = bench.Activation({tokens, kWidth}), y = bench.Filled({tokens, kWidth}, 0)] { x.add_(y); };
        });
    AddLinear("lin1", tokens, kWidth, kHidden);
    Add("activation", "gelu", GeluWork(tokens * kHidden, element_), [tokens](Bench& bench) {
      return [x = bench.Activation({tokens, kHidden})]() mutable { at::gelu_(x); };
    });
    AddLinear("lin2", tokens, kHidden, kWidth);
  }

  void AddNeck() {
    AddConv("neck conv1", kWidth, kNeck, grid_, 1, 1);
    const int64_t tokens = views_ * grid_ * grid_;
    Add("norm", "neck norm1", LayerNorm2dWork(tokens, kNeck, element_), [tokens](Bench& bench) {
      return [x = bench.Activation({tokens, kNeck}), w = bench.Filled({kNeck}, 1)] {
        at::layer_norm(x, {kNeck}, w, w, kEps);
      };
    });
    AddConv("neck conv2", kNeck, kNeck, grid_, 3, 1);
    AddConv("net_2", kNeck, 2 * kNeck, grid_, 3, 2);
    AddConv("net_3", 2 * kNeck, 4 * kNeck, (grid_ + 1) / 2, 3, 2);
  }

  void AddPartition(int64_t across) {
    const int64_t tokens = views_ * grid_ * grid_ * kWidth;
    const int64_t padded = views_ * across * across * kWindow * kWindow * kWidth;
    Add("copy", "window_partition", CopyWork(tokens, padded, element_),
        [across, grid = grid_, views = views_](Bench& bench) {
          return [x = bench.Activation({views, grid, grid, kWidth}), across, padding = across * kWindow - grid, views] {
            at::constant_pad_nd(x, {0, 0, 0, padding, 0, padding})
                .view({views, across, kWindow, across, kWindow, kWidth})
                .permute({0, 1, 3, 2, 4, 5})
                .reshape({views * across * across, kWindow, kWindow, kWidth});
          };
        });
    Add("copy", "window_unpartition", CopyWork(tokens, tokens, element_), [across, views = views_](Bench& bench) {
      return [x = bench.Activation({views, across, across, kWindow, kWindow, kWidth}), across, views] {
        x.permute({0, 1, 3, 2, 4, 5}).reshape({views, across * kWindow, across * kWindow, kWidth});
      };
    });
  }

  // `sequences` squares of side x side tokens.
  void AddAttention(const std::string& kind, int64_t sequences, int64_t side) {
    const int64_t squares = sequences * kHeads;
    const int64_t length = side * side;
    const int64_t tokens = sequences * length;
    AddLinear(kind + " qkv", tokens, kWidth, 3 * kWidth);
    Add("copy", kind + " split_heads", CopyWork(3 * tokens * kWidth, 3 * tokens * kWidth, element_),
        [sequences, length](Bench& bench) {
          return [x = bench.Activation({sequences, length, 3, kHeads, kHeadDim})] {
            x.permute({2, 0, 3, 1, 4}).contiguous();
          };
        });
    Add("index", kind + " gather", GatherWork(2 * length, kHeadDim, element_), [side, length](Bench& bench) {
      return [h = bench.Filled({2 * side - 1, kHeadDim}, 0.5), w = bench.Filled({2 * side - 1, kHeadDim}, 0.5),
              index = bench.Indices(length, 2 * side - 1)] {
        h.index_select(0, index);
        w.index_select(0, index);
      };
    });
    const GemmShape scores = {.m = squares * side, .n = side, .k = kHeadDim, .batch = 2 * side};
    Add(
        "gemm", kind + " scores", GemmWork(scores, element_),
        [squares, side](Bench& bench) {
          return [q = bench.Activation({squares, side, side, kHeadDim}), r = bench.Filled({side, side, kHeadDim}, 0.5),
                  squares, side] {
            const at::Tensor keys = r.transpose(1, 2);
            BatchedProduct(q.permute({1, 0, 2, 3}).reshape({side, squares * side, kHeadDim}), keys);
            BatchedProduct(q.permute({2, 0, 1, 3}).reshape({side, squares * side, kHeadDim}), keys);
          };
        },
        scores);
    Work bias = ElementwiseWork(2 * squares * length * side, squares * length * length, element_);
    bias.contiguous = side;
    Add("elementwise", kind + " bias", bias, [squares, side](Bench& bench) {
      return [h = bench.Filled({side, squares, side, side, 1}, 0.5).permute({1, 0, 2, 3, 4}),
              w = bench.Filled({side, squares, side, 1, side}, 0.5).permute({1, 2, 0, 3, 4})] {
        at::Tensor bias = at::empty({h.size(0), h.size(1), h.size(2), h.size(3), w.size(4)}, h.options());
        at::add_out(bias, h, w);
      };
    });
    // Without a size: it would say nothing of the bias, which is most of the traffic.
    Add("attention", kind + " core",
        AttentionWork({sequences, kHeads, length, length, kHeadDim, /*has_bias=*/true}, element_),
        [sequences, length](Bench& bench) {
          return [qkv = bench.Activation({3, sequences, kHeads, length, kHeadDim}),
                  bias = bench.Activation({sequences, kHeads, length, length})] {
            AttentionProduct(qkv[0], qkv[1], qkv[2], bias);
          };
        });
    Add("copy", kind + " merge_heads", CopyWork(tokens * kWidth, tokens * kWidth, element_),
        [sequences, length](Bench& bench) {
          return [x = bench.Activation({sequences, kHeads, length, kHeadDim})] { x.transpose(1, 2).contiguous(); };
        });
    AddLinear(kind + " proj", tokens, kWidth, kWidth);
  }

  const int64_t element_;
  const int64_t grid_;
  const int64_t views_;
  const std::string prefix_;
  std::vector<Point> points_;
};

}  // namespace

std::vector<Point> SamPoints(const Bench& bench, int64_t side, int64_t views) {
  return SamTable(bench.element_bytes(), side, views).Points();
}

}  // namespace dsocr::model
