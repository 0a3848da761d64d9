#include "cupti/attribution/operator_category.h"

#include <algorithm>
#include <string>
#include <unordered_map>

namespace dsocr::attribution {
namespace {

struct AtenRow {
  std::string_view category;
  std::string_view operators;  // separated by blanks, without "aten::"
};

constexpr AtenRow kAtenRows[] = {
    {"gemm",
     "mm bmm addmm addbmm baddbmm matmul linear einsum _addmm_activation tensordot inner mkldnn_linear mkl_linear "
     "_scaled_mm _int_mm "
     "_grouped_mm _scaled_grouped_mm chain_matmul linalg_multi_dot bilinear"},
    {"gemv", "mv addmv dot vdot ger addr outer"},
    {"conv",
     "conv1d conv2d conv3d convolution _convolution convolution_overrideable mkldnn_convolution thnn_conv2d "
     "_slow_conv2d_forward "
     "conv_transpose1d conv_transpose2d conv_transpose3d cudnn_convolution cudnn_convolution_transpose "
     "_conv_depthwise2d slow_conv3d "
     "cudnn_convolution_relu cudnn_convolution_add_relu im2col col2im"},
    {"attention",
     "scaled_dot_product_attention _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu "
     "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention _scaled_dot_product_attention_math "
     "_flash_attention_forward _efficient_attention_forward _cudnn_attention_forward _native_multi_head_attention "
     "_transformer_encoder_layer_fwd flex_attention"},
    {"norm",
     "layer_norm native_layer_norm rms_norm _fused_rms_norm group_norm native_group_norm batch_norm native_batch_norm "
     "cudnn_batch_norm "
     "instance_norm _batch_norm_impl_index norm linalg_vector_norm native_norm renorm"},
    {"softmax", "softmax _softmax log_softmax _log_softmax _safe_softmax logsumexp _logcumsumexp"},
    {"activation",
     "gelu silu relu relu6 sigmoid tanh hardswish hardsigmoid hardtanh leaky_relu elu selu mish softplus glu "
     "log_sigmoid threshold prelu "
     "celu hardshrink softshrink tanhshrink rrelu"},
    {"elementwise",
     "add sub mul div rsub neg abs pow square sqrt rsqrt exp exp2 expm1 log log1p log2 log10 reciprocal sin cos tan "
     "asin acos atan atan2 "
     "sinh cosh erf erfc clamp clamp_min clamp_max maximum minimum fmax fmin where eq ne lt le gt ge logical_not "
     "logical_and logical_or "
     "logical_xor bitwise_not bitwise_and bitwise_or bitwise_xor __and__ __or__ __xor__ floor ceil round trunc frac "
     "sign fmod remainder "
     "floor_divide true_divide multiply divide subtract addcmul addcdiv lerp isnan isinf isfinite dropout "
     "native_dropout nan_to_num "
     "bitwise_left_shift bitwise_right_shift"},
    {"reduction",
     "sum mean prod std var var_mean std_mean max min amax amin aminmax argmax argmin all any cumsum cumprod "
     "count_nonzero nansum "
     "median nanmedian equal allclose item _local_scalar_dense is_nonzero"},
    {"embedding", "embedding embedding_bag _embedding_bag embedding_renorm"},
    {"index",
     "index index_select index_put _index_put_impl index_add index_copy index_fill gather scatter scatter_add "
     "scatter_reduce "
     "index_reduce take take_along_dim put masked_select masked_fill masked_scatter nonzero argwhere _unsafe_index "
     "_unsafe_index_put "
     "isin searchsorted bucketize"},
    {"copy",
     "copy _to_copy to clone contiguous cat concat concatenate stack hstack vstack dstack repeat repeat_interleave "
     "tile roll flip rot90 "
     "constant_pad_nd pad reflection_pad2d pixel_shuffle pixel_unshuffle fill full full_like zero zeros zeros_like "
     "ones ones_like "
     "new_zeros new_ones new_full arange linspace eye tril triu type_as resize resize_as one_hot block_diag meshgrid "
     "scalar_tensor "
     "tensor_split lift_fresh lift_fresh_copy _pin_memory pin_memory cpu cuda view_copy permute_copy transpose_copy "
     "slice_scatter "
     "select_scatter float half bfloat16 double int long "
     // views and allocation: no data moves, but the call is there
     "view reshape _reshape_alias _unsafe_view permute transpose t numpy_T mT expand expand_as slice select squeeze "
     "unsqueeze split "
     "split_with_sizes chunk unbind narrow flatten unflatten as_strided movedim moveaxis swapaxes swapdims unfold "
     "detach alias view_as "
     "diagonal empty empty_like empty_strided empty_permuted new_empty new_empty_strided set real imag view_as_real "
     "view_as_complex "
     "broadcast_tensors broadcast_to atleast_1d atleast_2d unsafe_split unsafe_chunk result_type resolve_conj "
     "resolve_neg conj"},
    {"routing",
     "topk sort argsort msort kthvalue unique _unique2 unique_consecutive unique_dim bincount histc histogram"},
    {"rope", "rope _rope"},
    {"interpolate",
     "interpolate upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d "
     "_upsample_bilinear2d_aa "
     "upsample_bicubic2d _upsample_bicubic2d_aa upsample_linear1d upsample_trilinear3d grid_sampler grid_sampler_2d "
     "adaptive_avg_pool2d _adaptive_avg_pool2d avg_pool2d max_pool2d max_pool2d_with_indices"},
    {"sampling",
     "multinomial bernoulli uniform normal random rand randn randint randperm exponential rand_like randn_like"},
};

std::unordered_map<std::string_view, int> MakeAtenTable() {
  std::unordered_map<std::string_view, int> table;
  for (const AtenRow& row : kAtenRows) {
    const int category = CategoryIndex(row.category);
    for (size_t begin = 0; begin < row.operators.size();) {
      const size_t end = std::min(row.operators.find(' ', begin), row.operators.size());
      table.emplace(row.operators.substr(begin, end - begin), category);
      begin = end + 1;
    }
  }
  return table;
}

}  // namespace

int CategoryIndex(std::string_view category_id) {
  const auto found = std::find(kCategories.begin(), kCategories.end(), category_id);
  return found == kCategories.end() ? -1 : static_cast<int>(found - kCategories.begin());
}

int AtenCategory(std::string_view name) {
  static const auto& table = *new std::unordered_map<std::string_view, int>(MakeAtenTable());
  if (const size_t colons = name.rfind("::"); colons != std::string_view::npos) {
    name.remove_prefix(colons + 2);
  }
  name = name.substr(0, name.find('.'));
  auto found = table.find(name);
  if (found == table.end() && name.size() > 1 && name.back() == '_') {  // in place
    found = table.find(name.substr(0, name.size() - 1));
  }
  return found == table.end() ? kOtherCategory : found->second;
}

}  // namespace dsocr::attribution
