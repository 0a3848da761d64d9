// A decode step of the published model as the runner captures it, seen and unseen: where its kernels go when they have
// to be aligned with what the model is expected to launch.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analytic/prediction.h"
#include "cupti/attribution/attribution.h"
#include "daemon/report/decode_step.h"
#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cupti/attribution/recording.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

constexpr char kCast[] =
    "void "
    "at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}"
    ">(int)";
constexpr char kAdd[] =
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>>(int)";
constexpr char kMul[] =
    "void at::native::vectorized_elementwise_kernel<4, at::native::BinaryFunctor<float, float, float, "
    "at::native::binary_internal::MulFunctor<float>>>(int)";
constexpr char kSilu[] =
    "void at::native::vectorized_elementwise_kernel<4, "
    "at::native::silu_kernel(at::TensorIteratorBase&)::{lambda()#1}>(int)";
constexpr char kAddcmul[] =
    "void at::native::elementwise_kernel<128, 2, "
    "at::native::addcmul_cuda_kernel(at::TensorIteratorBase&)::{lambda()#2}>(int)";
constexpr char kRsqrt[] =
    "void at::native::vectorized_elementwise_kernel<4, "
    "at::native::rsqrt_kernel_cuda(at::TensorIteratorBase&)::{lambda()#1}>(int)";
constexpr char kNorm[] =
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::NormTwoOps<float, float, "
    "float>>>(int)";
constexpr char kFlip[] =
    "void at::native::elementwise_kernel<128, 4, at::native::flip_kernel(at::TensorIterator&, "
    "bool)::{lambda()#1}>(int)";
constexpr char kGemv[] = "void gemvx::kernel<int, int, __nv_bfloat16, __nv_bfloat16, __nv_bfloat16, float>(int)";
constexpr char kSplitGemm[] = "nvjet_tst_64x8_64x16_4x1_v_bz_splitK_TNT";
constexpr char kReduceSplit[] = "void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16>(int)";
constexpr char kIndexCopy[] =
    "void at::native::index_elementwise_kernel<128, 4, at::native::index_copy_kernel_impl<int>>(int)";
constexpr char kSelect[] =
    "void at::native::(anonymous namespace)::indexSelectSmallIndex<c10::BFloat16, long, unsigned int>(int)";
constexpr char kAttention[] =
    "fmha_cutlassF_bf16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<int>::Params)";
constexpr char kSoftmax[] =
    "void (anonymous namespace)::softmax_warp_forward<float, float, float, 6, false, false>(float*)";
constexpr char kTopk[] = "void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(int)";
constexpr char kSort[] = "void at::native::bitonicSortKVInPlace<2, -1, 16, 16, float, long>(int)";

using Kernels = std::vector<std::string_view>;

// What a static decode step launches for a leaf (model/decoder.cc, model/moe.cc), in order; names as on a GPU.
Kernels KernelsOf(const std::string& leaf) {
  const Kernels rms_norm = {kCast, kNorm, kAddcmul, kRsqrt, kMul, kCast, kMul};
  const std::map<std::string, Kernels, std::less<>> table = {
      {"embed_tokens", {kSelect}},
      {"input_layernorm", rms_norm},
      {"q_proj", {kGemv}},
      {"k_proj", {kGemv}},
      {"v_proj", {kGemv}},
      {"rope", {kFlip, kMul, kAddcmul, kFlip, kMul, kAddcmul}},
      {"kv_cache", {kIndexCopy, kIndexCopy}},
      {"core", {kAttention}},
      {"merge_heads", {}},
      {"o_proj", {kSplitGemm, kReduceSplit}},
      {"attn_residual", {kAdd}},
      {"post_attention_layernorm", rms_norm},
      {"mlp_residual", {kAdd}},
      {"gate_proj", {kGemv}},
      {"up_proj", {kGemv}},
      {"act", {kSilu}},
      {"act_fn", {kSilu}},
      {"mul", {kMul}},
      {"down_proj", {kSplitGemm, kReduceSplit}},
      {"gate", {kGemv, kCast}},
      {"softmax", {kSoftmax}},
      {"topk", {kTopk, kSort}},
      {"dispatch", {}},
      {"experts", {kSelect, kSplitGemm, kSilu, kSelect, kSplitGemm, kMul, kSelect, kSplitGemm, kCast, kGemv, kCast}},
      {"add", {kAdd}},
      {"norm", rms_norm},
      {"lm_head", {kGemv}},
      {"sample", {}},  // is not captured
  };
  const auto found = table.find(leaf.substr(leaf.rfind('/') + 1));
  EXPECT_NE(found, table.end()) << leaf;
  return found == table.end() ? Kernels{} : found->second;
}

class GraphInference : public ::testing::Test {
 protected:
  static constexpr uint32_t kGraph = 3;
  static constexpr int kReplays = 4;

  GraphInference() : prediction_(*analytic::Predict(input_.model, input_.workload, input_.device)) {}

  // One request whose decode steps are replays of a graph, captured in the agent's presence or not.
  attribution::Result Replay(bool is_captured_unseen) const {
    attribution::Recording recording(AttributionOptions(prediction_, /*skip_requests=*/0));
    std::vector<std::string_view> names;
    recording.Push(1, "warm-up");
    for (const attribution::ExpectedOperation& leaf : DecodeStep(prediction_)) {
      for (const std::string& range : leaf.ranges) {
        recording.Push(2, range);
      }
      for (const std::string_view kernel : KernelsOf(leaf.ranges.back())) {
        names.push_back(kernel);
        if (!is_captured_unseen) {
          recording.Capture(kGraph, names.size());
        }
      }
      for (size_t i = 0; i < leaf.ranges.size(); ++i) {
        recording.Pop(3);
      }
    }
    recording.Pop(4);
    recording.Push(1000, "deepseek_ocr");
    int64_t now_ns = 2000;
    for (int step = 0; step < kReplays; ++step) {
      recording.Push(now_ns, "decode");
      const uint32_t launch = recording.Launch(now_ns, kGraph);
      for (size_t node = 1; node <= names.size(); ++node) {
        const bool is_product = names[node - 1] == kGemv || names[node - 1] == kSplitGemm;
        const int64_t duration_ns = (is_product ? 9'000 : 1'500) + static_cast<int64_t>(node * 37 % 400);
        recording.Replayed(launch, kGraph, node, now_ns + 100, now_ns + 100 + duration_ns,
                           std::string(names[node - 1]));
        now_ns += duration_ns + 500;
      }
      now_ns += 1000;
      recording.Pop(now_ns);
    }
    recording.Pop(now_ns + 1);
    return recording.Finish();
  }

  const ReportInput input_ = SampleInput();
  const analytic::Prediction prediction_;
};

std::map<std::string, int64_t> SelfTimes(const attribution::Result& result) {
  std::map<std::string, int64_t> times;
  for (const attribution::ModuleSum& module : result.request.modules) {
    times[module.module_id] = module.self_device_ns;
  }
  return times;
}

TEST_F(GraphInference, AStepThatWasSeenCapturedGoesToItsLeaves) {
  const attribution::Result seen = Replay(/*is_captured_unseen=*/false);
  EXPECT_EQ(seen.request.unattributed_ns, 0);
  EXPECT_EQ(SelfTimes(seen).at("decode"), 0) << "all of it to leaves";
  EXPECT_EQ(seen.gpu->graphs.operations_inferred, 0);
}

TEST_F(GraphInference, AStepThatWasNotSeenGoesNearlyWhereItWouldHave) {
  std::map<std::string, int64_t> inferred = SelfTimes(Replay(/*is_captured_unseen=*/true));
  int64_t total_ns = 0;
  int64_t right_ns = 0;
  for (const auto& [module_id, seen_ns] : SelfTimes(Replay(/*is_captured_unseen=*/false))) {
    total_ns += seen_ns;
    right_ns += std::min(seen_ns, inferred[module_id]);
  }
  const double right_share = static_cast<double>(right_ns) / static_cast<double>(total_ns);
  RecordProperty("right_share", std::to_string(right_share));
  EXPECT_GT(right_share, 0.95);
}

}  // namespace
}  // namespace dsocr::report
