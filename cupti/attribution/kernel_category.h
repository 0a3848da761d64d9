// The operator category of a GPU kernel, by its name as a profiler gives it: demangled or mangled, whole or cut off.
//
// What a kernel does is said by its own name (`vllm::rms_norm_kernel`), else by what it is a kernel of: its template
// arguments (`cutlass::Kernel2<cutlass_80_tensorop_s16816gemm…>`), its namespace (`internal::gemvx::kernel`), the
// functor of a pointwise launcher (`vectorized_elementwise_kernel<4, FillFunctor<float>…>`), or the operators that a
// generated kernel lists (`triton_per_fused_add_native_layer_norm_3`). One ordered table decides, in that order of
// places; what no row knows is `other`, and stays visible as that.
#ifndef DSOCR_CUPTI_ATTRIBUTION_KERNEL_CATEGORY_H_
#define DSOCR_CUPTI_ATTRIBUTION_KERNEL_CATEGORY_H_

#include <cstddef>
#include <string_view>

namespace dsocr::attribution {

inline constexpr size_t kMaxKernelNameBytes = 4096;  // more is not looked at

// The place in kCategories (operator_category.h). Copies and sets go by the names that profilers give them ("Memcpy
// DtoH (Device -> Pinned)", "[CUDA memset]"). Any bytes will do.
int KernelCategory(std::string_view kernel_name);

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_KERNEL_CATEGORY_H_
