#include "model/sam.h"

#include <ATen/ATen.h>

#include <cmath>

#include "model/products.h"

namespace dsocr::model {
namespace {

constexpr double kLayerNormEps = 1e-6;
constexpr char kRange[] = "vision/sam";
constexpr char kWeight[] = "model.sam_model.";

std::string BlockRange(int64_t index) { return std::string(kRange) + "/block[" + std::to_string(index) + "]"; }
std::string BlockWeight(int64_t index) { return std::string(kWeight) + "blocks." + std::to_string(index) + "."; }

// [B, g, g, C] -> [B * windows, window, window, C], windows row-major; zero rows and columns are added at the bottom
// and right.
at::Tensor PartitionWindows(at::Tensor x, int64_t window) {
  const int64_t batch = x.size(0), grid = x.size(1), channels = x.size(3);
  const int64_t across = (grid + window - 1) / window;
  const int64_t padding = across * window - grid;
  if (padding > 0) x = at::constant_pad_nd(x, {0, 0, 0, padding, 0, padding});
  return x.view({batch, across, window, across, window, channels})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({batch * across * across, window, window, channels});
}

// The inverse: joins the windows and drops the padding. Result [B, g, g, C], a view of the joined copy.
at::Tensor JoinWindows(const at::Tensor& windows, int64_t batch, int64_t grid) {
  const int64_t window = windows.size(1), channels = windows.size(3);
  const int64_t across = (grid + window - 1) / window;
  return windows.view({batch, across, across, window, window, channels})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({batch, across * window, across * window, channels})
      .narrow(1, 0, grid)
      .narrow(2, 0, grid);
}

// A table of relative positions for distances -(n-1)..n-1, resized linearly.
at::Tensor ResizeTable(const at::Tensor& table, int64_t n) {
  const at::Tensor rows = table.t().unsqueeze(0).to(at::kFloat);  // [1, d, length]
  return at::upsample_linear1d(rows, {2 * n - 1}, /*align_corners=*/false).squeeze(0).t().to(table.scalar_type());
}

}  // namespace

SamAttention::SamAttention(const std::string& range, const std::string& weight, int64_t heads, WeightMap& weights)
    : heads_(heads),
      qkv_(Linear::WithBias(weight + "qkv", weights)),
      proj_(Linear::WithBias(weight + "proj", weights)),
      rel_pos_h_(weights.Take(weight + "rel_pos_h")),
      rel_pos_w_(weights.Take(weight + "rel_pos_w")),
      self_range_(range),
      qkv_range_(range + "/qkv"),
      split_heads_range_(range + "/split_heads"),
      rel_pos_range_(range + "/rel_pos"),
      resize_range_(range + "/rel_pos/resize"),
      gather_range_(range + "/rel_pos/gather"),
      scores_range_(range + "/rel_pos/scores"),
      bias_range_(range + "/rel_pos/bias"),
      core_range_(range + "/core"),
      merge_heads_range_(range + "/merge_heads"),
      proj_range_(range + "/proj") {}

at::Tensor SamAttention::RelativePositionBias(const at::Tensor& q, int64_t n) const {
  const Range range(rel_pos_range_);
  const int64_t rows = q.size(0) * q.size(1), d = q.size(3);  // rows: one for each head of each square

  at::Tensor table_h = rel_pos_h_, table_w = rel_pos_w_;
  if (table_h.size(0) != 2 * n - 1) {
    const Range resize(resize_range_);
    table_h = ResizeTable(table_h, n);
    table_w = ResizeTable(table_w, n);
  }

  at::Tensor by_h, by_w;  // [n, n, d]: [i, j] = table[i - j + n - 1]
  {
    const Range gather(gather_range_);
    const at::Tensor position = at::arange(n, q.options().dtype(at::kLong));
    const at::Tensor index = (position.unsqueeze(1) - position + (n - 1)).view(-1);
    by_h = table_h.index_select(0, index).view({n, n, d});
    by_w = table_w.index_select(0, index).view({n, n, d});
  }

  at::Tensor rel_h, rel_w;  // [n (y), rows * n (x), n (ky)] and [n (x), rows * n (y), n (kx)]
  {
    const Range scores(scores_range_);
    const at::Tensor q4 = q.view({rows, n, n, d});
    rel_h = BatchedProduct(q4.permute({1, 0, 2, 3}).reshape({n, rows * n, d}), by_h.transpose(1, 2));
    rel_w = BatchedProduct(q4.permute({2, 0, 1, 3}).reshape({n, rows * n, d}), by_w.transpose(1, 2));
  }

  const Range bias_range(bias_range_);
  at::Tensor bias = at::empty({rows, n, n, n, n}, q.options());  // [.., y, x, ky, kx]
  at::add_out(bias, rel_h.view({n, rows, n, n, 1}).permute({1, 0, 2, 3, 4}),
              rel_w.view({n, rows, n, 1, n}).permute({1, 2, 0, 3, 4}));
  return bias.view({q.size(0), q.size(1), n * n, n * n});
}

std::vector<at::Tensor> SamAttention::Project(at::Tensor x) const {
  const int64_t batch = x.size(0), n = x.size(1), channels = x.size(3);
  x = In(qkv_range_, [&] { return qkv_(x); });
  return In(split_heads_range_, [&] {
    return x.view({batch, n * n, 3, heads_, channels / heads_}).permute({2, 0, 3, 1, 4}).contiguous().unbind(0);
  });
}

at::Tensor SamAttention::Forward(at::Tensor x) const {
  const Range range(self_range_);
  const int64_t batch = x.size(0), n = x.size(1), channels = x.size(3);
  {
    const std::vector<at::Tensor> parts = Project(std::move(x));
    const at::Tensor bias = RelativePositionBias(parts[0], n);
    x = In(core_range_, [&] { return AttentionProduct(parts[0], parts[1], parts[2], bias); });
  }
  x = In(merge_heads_range_, [&] { return x.transpose(1, 2).reshape({batch, n, n, channels}); });
  return In(proj_range_, [&] { return proj_(x); });
}

SamBlock::SamBlock(const SamConfig& config, int64_t index, WeightMap& weights)
    : window_(config.is_global(index) ? 0 : config.window_size),
      norm1_(BlockWeight(index) + "norm1", kLayerNormEps, weights),
      attention_(BlockRange(index) + "/attn", BlockWeight(index) + "attn.", config.heads, weights),
      norm2_(BlockWeight(index) + "norm2", kLayerNormEps, weights),
      lin1_(Linear::WithBias(BlockWeight(index) + "mlp.lin1", weights)),
      lin2_(Linear::WithBias(BlockWeight(index) + "mlp.lin2", weights)),
      self_range_(BlockRange(index)),
      norm1_range_(BlockRange(index) + "/norm1"),
      window_partition_range_(BlockRange(index) + "/window_partition"),
      window_unpartition_range_(BlockRange(index) + "/window_unpartition"),
      attn_residual_range_(BlockRange(index) + "/attn_residual"),
      norm2_range_(BlockRange(index) + "/norm2"),
      mlp_range_(BlockRange(index) + "/mlp"),
      lin1_range_(BlockRange(index) + "/mlp/lin1"),
      act_range_(BlockRange(index) + "/mlp/act"),
      lin2_range_(BlockRange(index) + "/mlp/lin2"),
      mlp_residual_range_(BlockRange(index) + "/mlp_residual") {}

at::Tensor SamBlock::Attend(const at::Tensor& x, const Probe& probe) const {
  at::Tensor y = In(norm1_range_, [&] { return norm1_(x); });
  if (window_ > 0) y = In(window_partition_range_, [&] { return PartitionWindows(std::move(y), window_); });
  y = attention_.Forward(std::move(y));
  probe("_attn_windows", y);
  if (window_ > 0) y = In(window_unpartition_range_, [&] { return JoinWindows(y, x.size(0), x.size(1)); });
  return y;
}

at::Tensor SamBlock::Mlp(const at::Tensor& x) const {
  at::Tensor y = In(norm2_range_, [&] { return norm2_(x); });
  const Range range(mlp_range_);
  y = In(lin1_range_, [&] { return lin1_(y); });
  In(act_range_, [&] { at::gelu_(y); });
  return In(lin2_range_, [&] { return lin2_(y); });
}

at::Tensor SamBlock::Forward(at::Tensor x, const Probe& probe) const {
  const Range range(self_range_);
  {
    const at::Tensor y = Attend(x, probe);
    In(attn_residual_range_, [&] { x.add_(y); });
  }
  const at::Tensor y = Mlp(x);
  In(mlp_residual_range_, [&] { x.add_(y); });
  probe("_bhwc", x);
  return x;
}

SamEncoder::SamEncoder(const SamConfig& config, WeightMap& weights)
    : patch_size_(config.patch_size),
      pos_embed_(weights.Take(std::string(kWeight) + "pos_embed")),
      patch_embed_weight_(weights.Take(std::string(kWeight) + "patch_embed.proj.weight")),
      patch_embed_bias_(weights.Take(std::string(kWeight) + "patch_embed.proj.bias")),
      neck_conv1_(weights.Take(std::string(kWeight) + "neck.0.weight")),
      neck_norm1_(std::string(kWeight) + "neck.1", kLayerNormEps, weights),
      neck_conv2_(weights.Take(std::string(kWeight) + "neck.2.weight")),
      neck_norm2_(std::string(kWeight) + "neck.3", kLayerNormEps, weights),
      net_2_(weights.Take(std::string(kWeight) + "net_2.weight")),
      net_3_(weights.Take(std::string(kWeight) + "net_3.weight")),
      self_range_(kRange),
      patch_embed_range_("vision/sam/patch_embed"),
      pos_embed_range_("vision/sam/pos_embed"),
      interpolate_range_("vision/sam/pos_embed/interpolate"),
      add_range_("vision/sam/pos_embed/add"),
      neck_range_("vision/sam/neck"),
      conv1_range_("vision/sam/neck/conv1"),
      norm1_range_("vision/sam/neck/norm1"),
      conv2_range_("vision/sam/neck/conv2"),
      norm2_range_("vision/sam/neck/norm2"),
      net_2_range_("vision/sam/net_2"),
      net_3_range_("vision/sam/net_3") {
  for (int64_t i = 0; i < config.layers; ++i) blocks_.emplace_back(config, i, weights);
}

at::Tensor SamEncoder::AddPositions(const at::Tensor& x) const {
  const Range range(pos_embed_range_);
  at::Tensor positions = pos_embed_;
  const int64_t grid = x.size(1);
  if (positions.size(1) != grid) {
    positions = In(interpolate_range_, [&] {
      const at::Tensor planes = pos_embed_.permute({0, 3, 1, 2}).to(at::kFloat);
      return at::_upsample_bicubic2d_aa(planes, {grid, grid}, /*align_corners=*/false)
          .permute({0, 2, 3, 1})
          .to(x.scalar_type());
    });
  }
  return In(add_range_, [&] { return at::add(x, positions); });
}

// LayerNorm2d normalises each pixel over its channels: with channels last in memory that is a LayerNorm.
at::Tensor SamEncoder::Neck(const at::Tensor& x) const {
  const Range range(neck_range_);
  at::Tensor y = In(conv1_range_, [&] { return ConvProduct(x.permute({0, 3, 1, 2}), neck_conv1_); });
  y = In(norm1_range_, [&] { return neck_norm1_(y.permute({0, 2, 3, 1})).permute({0, 3, 1, 2}); });
  y = In(conv2_range_, [&] { return ConvProduct(y, neck_conv2_, {}, 1, /*padding=*/1); });
  return In(norm2_range_, [&] { return neck_norm2_(y.permute({0, 2, 3, 1})).permute({0, 3, 1, 2}); });
}

at::Tensor SamEncoder::Forward(const at::Tensor& pixels, const Probe& probe) const {
  const Range range(self_range_);
  // Channels last from here on: tokens of the blocks and pixels of the convolutions are the same memory.
  at::Tensor x = In(patch_embed_range_, [&] {
    const at::Tensor image = pixels.contiguous(at::MemoryFormat::ChannelsLast);
    return ConvProduct(image, patch_embed_weight_, patch_embed_bias_, patch_size_).permute({0, 2, 3, 1}).contiguous();
  });
  probe("patch_embed_bhwc", x);
  x = AddPositions(x);
  for (size_t i = 0; i < blocks_.size(); ++i) x = blocks_[i].Forward(std::move(x), probe.Sub("block", i));

  x = Neck(x);
  probe("neck_bchw", x);
  x = In(net_2_range_, [&] { return ConvProduct(x, net_2_, {}, /*stride=*/2, /*padding=*/1); });
  probe("net_2_bchw", x);
  x = In(net_3_range_, [&] { return ConvProduct(x, net_3_, {}, /*stride=*/2, /*padding=*/1); });
  probe("out_bchw", x);
  return x;
}

}  // namespace dsocr::model
