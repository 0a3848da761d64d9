#include "daemon/attach/operator_call.h"

#include <algorithm>
#include <iterator>

namespace dsocr::attach {
namespace {

// One of the two tensors.
class Sizes {
 public:
  Sizes(const record::OperatorShape& shape, int tensor)
      : rank_(std::min<size_t>(shape.rank[tensor], std::size(shape.sizes[tensor]))), sizes_(shape.sizes[tensor]) {}

  size_t rank() const { return rank_; }
  int64_t operator[](size_t i) const { return sizes_[i]; }
  int64_t back() const { return sizes_[rank_ - 1]; }

 private:
  size_t rank_;
  const uint32_t* sizes_;
};

Weight Product(int64_t in, int64_t out) { return {WeightKind::kProduct, in, out, 0}; }

void ReadTable(const Sizes& table, const Sizes& index, OperatorCall* call) {
  call->weight = {WeightKind::kTable, table[0], table[1], 0};
  call->batch = index.rank() == 2 ? index[0] : 1;
  call->size = index.back();
}

}  // namespace

OperatorCall CallOf(std::string_view name, const record::OperatorShape* shape) {
  OperatorCall call;
  if (shape == nullptr || name.substr(0, 6) != "aten::") {
    return call;
  }
  name.remove_prefix(6);
  const Sizes a(*shape, 0);
  const Sizes b(*shape, 1);
  call.element_bytes = shape->element_bytes[name == "embedding" ? 0 : 1];
  if (a.rank() == 0 || b.rank() == 0) {
    return call;
  }
  if (name == "linear" && b.rank() == 2) {
    call.weight = Product(b[1], b[0]);
  } else if (name == "addmm" && b.rank() == 2) {  // bias, rows
    call.weight = Product(b[1], a.back());
  } else if ((name == "mm" || name == "matmul") && b.rank() == 2) {
    call.weight = Product(b[0], b[1]);
  } else if (name == "bmm" || name == "baddbmm" || name == "matmul") {
    call.weight = {WeightKind::kBatchedProduct, 0, 0, 0};
  } else if ((name == "conv2d" || name == "convolution" || name == "_convolution") && a.rank() == 4 && b.rank() == 4) {
    call.weight = {WeightKind::kConvolution, b[1], b[0], b[2]};
    call.batch = a[0];
    call.size = std::max(a[2], a[3]);
  } else if ((name == "embedding" || name == "index_select") && a.rank() == 2 && b.rank() <= 2) {
    ReadTable(a, b, &call);
  } else if (name == "scaled_dot_product_attention" && a.rank() >= 3) {
    call.weight = {WeightKind::kAttention, 0, 0, 0};
    call.heads = a[a.rank() - 3];
    call.batch = a.rank() == 4 ? a[0] : 1;
    call.size = a[a.rank() - 2];
  }
  return call;
}

}  // namespace dsocr::attach
