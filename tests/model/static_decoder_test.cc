// Holds the decode step that CUDA graphs replay to the one that is cut to its length, without a GPU: the same logits
// and tokens, nothing that the host would wait for, and the same launches at every position of a span.
#include "model/static_decoder.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "model/cuda_graph.h"
#include "model/error.h"
#include "model/generate.h"
#include "model/load.h"
#include "model/synthetic.h"
#include "model/trace/meta_kernels.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

using ::testing::HasSubstr;

// The steps cross from the first span into the second, which the cache cuts short.
constexpr int64_t kPromptLength = StaticDecoder::kSpanStep - 8;
constexpr int64_t kNewTokens = 20;
constexpr int64_t kCapacity = kPromptLength + kNewTokens - 1;

// A model and a prompt of text.
struct Subject {
  explicit Subject(at::ScalarType dtype = at::kFloat, at::Device device = at::kCPU)
      : loaded(LoadModel(TinyConfig(), std::nullopt, /*seed=*/1, dtype, device)), model(*loaded.model) {
    request = model.Prepare(Views(), SyntheticPrompt(model.config(), /*image_tokens=*/0, kPromptLength));
  }

  // A cache with the prompt in it.
  KvCache Prefilled() {
    KvCache cache = model.MakeCache(kCapacity);
    model.Prefill(request, std::nullopt, cache, Probe());
    return cache;
  }
  // After a static decoder was made, which clears the cache.
  void Prefill(KvCache& cache) {
    cache.length = 0;
    model.Prefill(request, std::nullopt, cache, Probe());
  }
  at::Tensor EagerStep(const at::Tensor& token, KvCache& cache) {
    const Decoder& decoder = model.decoder();
    const at::Tensor x = decoder.Embed(token, Phase::kDecode);
    return decoder.LastLogits(decoder.Forward(x, Phase::kDecode, cache, Probe()), Phase::kDecode);
  }
  // Some token, as a tensor on the device.
  at::Tensor Token(int64_t which) const { return request.device_ids.narrow(0, which, 1); }

  const c10::InferenceMode inference;
  LoadedModel loaded;
  DeepseekOcr& model;
  Request request;
};

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// The logits of every token of a request, and the experts that each step picked in a layer.
class Recorder : public Observer {
 public:
  void See(const std::string& name, const at::Tensor& tensor) override {
    if (name == "step_logits") logits.push_back(tensor.clone());
    if (name == "step.moe.layer1.topk_idx") {
      const at::Tensor pick = std::get<0>(tensor.sort(-1)).contiguous();
      experts.insert({pick.const_data_ptr<int64_t>(), pick.const_data_ptr<int64_t>() + pick.numel()});
    }
  }

  std::vector<at::Tensor> logits;
  std::set<std::vector<int64_t>> experts;
};

class Ngrams : public ::testing::TestWithParam<int> {};

// With 1-grams, no token comes twice, and the steps differ the most.
TEST_P(Ngrams, TokensAndLogitsAreThoseOfEagerDecoding) {
  Subject subject;
  const Generator generator(subject.model);
  GenerateOptions options{.max_new_tokens = kNewTokens, .no_repeat_ngram_size = GetParam()};
  KvCache cache = subject.model.MakeCache(kCapacity);
  Recorder eager, fixed;
  const std::vector<int64_t> expected = generator.Run(subject.request, cache, options, Probe(&eager, ""));
  StaticDecoder decoder(subject.model, cache);
  options.static_decoder = &decoder;
  EXPECT_EQ(generator.Run(subject.request, cache, options, Probe(&fixed, "")), expected);
  ASSERT_EQ(fixed.logits.size(), static_cast<size_t>(kNewTokens));
  for (int64_t i = 0; i < kNewTokens; ++i) EXPECT_LT(Difference(fixed.logits[i], eager.logits[i]), 1e-4) << i;
  EXPECT_EQ(fixed.experts, eager.experts);
  if (GetParam() == 1) {
    EXPECT_GT(fixed.experts.size(), 5u);
  }
}

INSTANTIATE_TEST_SUITE_P(StaticDecoder, Ngrams, ::testing::Values(0, 1, 2));

// Tokens are given: in bf16, one near tie would make two texts of one.
TEST(StaticDecoder, LogitsInBf16AreThoseOfEagerDecodingButForRounding) {
  Subject subject(at::kBFloat16);
  KvCache eager = subject.Prefilled(), fixed = subject.model.MakeCache(kCapacity);
  StaticDecoder decoder(subject.model, fixed);
  subject.Prefill(fixed);
  int same_token = 0;
  for (int64_t i = 1; i < kNewTokens; ++i) {
    const at::Tensor expected = subject.EagerStep(subject.Token(i), eager);
    const at::Tensor logits = decoder.Step(subject.Token(i), Probe());
    EXPECT_LT(Difference(logits, expected), 0.05) << "step " << i;  // three roundings of a logit near 3
    same_token += logits.argmax().equal(expected.argmax());
  }
  EXPECT_GE(same_token, kNewTokens - 2);
}

TEST(StaticDecoder, WhatLiesBehindThePositionPlaysNoPart) {
  Subject subject;
  KvCache cache = subject.model.MakeCache(kCapacity);
  StaticDecoder decoder(subject.model, cache);
  subject.Prefill(cache);
  const at::Tensor logits = decoder.Step(subject.Token(1), Probe());
  for (const at::Tensor& rows : cache.value) rows.narrow(2, cache.length, kCapacity - cache.length).fill_(7);
  for (const at::Tensor& rows : cache.key) rows.narrow(2, cache.length, kCapacity - cache.length).fill_(7);
  --cache.length;
  EXPECT_TRUE(decoder.Step(subject.Token(1), Probe()).equal(logits));
}

TEST(StaticDecoder, EagerDecodingOverStackedExpertsIsTheSame) {
  Subject subject;
  KvCache cache = subject.Prefilled();
  const at::Tensor before = subject.EagerStep(subject.Token(1), cache);
  subject.model.StackExperts();
  --cache.length;
  EXPECT_TRUE(subject.EagerStep(subject.Token(1), cache).equal(before));
}

// A meta tensor has a shape and no values: whatever would read one back throws, as reading back would spoil a capture.
TEST(StaticDecoder, StepReadsNothingBack) {
  RegisterMetaKernels();
  Subject subject(at::kFloat, at::kMeta);
  KvCache cache = subject.model.MakeCache(kCapacity);
  StaticDecoder decoder(subject.model, cache);
  cache.length = kPromptLength;
  const at::Tensor logits = decoder.Step(subject.Token(1), Probe());
  EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{1, subject.model.config().decoder.vocab_size}));
  EXPECT_ANY_THROW(logits.to(at::kCPU));
}

thread_local std::vector<std::string> operators;

// What `body` calls, by name and shapes, inner calls included.
template <typename Body>
std::vector<std::string> OperatorsOf(const Body& body) {
  operators.clear();
  const auto on_start = [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
    std::ostringstream text;
    text << function.name();
    for (const c10::IValue& input : function.inputs()) {
      if (input.isTensor() && input.toTensor().defined()) text << ' ' << input.toTensor().sizes();
    }
    operators.push_back(text.str());
    return nullptr;
  };
  const at::CallbackHandle handle = at::addThreadLocalCallback(at::RecordFunctionCallback(on_start).needsInputs(true));
  body();
  at::removeCallback(handle);
  return operators;
}

TEST(StaticDecoder, LaunchesTheSameWorkAtEveryPositionOfASpan) {
  Subject subject;
  KvCache cache = subject.model.MakeCache(kCapacity);
  StaticDecoder decoder(subject.model, cache);
  subject.Prefill(cache);
  const auto operators_at = [&](int64_t position, auto&& step) {
    cache.length = position;
    return OperatorsOf([&] { step(subject.Token(position), cache); });
  };
  const auto fixed = [&](const at::Tensor& token, KvCache&) { decoder.Step(token, Probe()); };
  const auto eager = [&](const at::Tensor& token, KvCache& in) { subject.EagerStep(token, in); };
  const std::vector<std::string> first = operators_at(3, fixed);
  EXPECT_GT(first.size(), 100u);
  for (const int64_t position : {4, 40, 111}) EXPECT_EQ(operators_at(position, fixed), first);
  EXPECT_NE(operators_at(40, eager), operators_at(3, eager));
}

// Replays by running the body again, which reads the same tensors.
class RerunGraph : public DeviceGraph {
 public:
  struct Counts {
    int captures = 0;
    int replays = 0;
  };
  explicit RerunGraph(Counts& counts) : counts_(counts) {}

  void Capture(const std::function<void()>& body) override {
    ++counts_.captures;
    body_ = body;
  }
  void Replay() override {
    ++counts_.replays;
    body_();
  }

 private:
  Counts& counts_;
  std::function<void()> body_;
};

TEST(StaticDecoder, CapturesASpanOnceAndReplaysItFromThen) {
  Subject subject;
  const Generator generator(subject.model);
  GenerateOptions options{.max_new_tokens = kNewTokens};
  KvCache cache = subject.model.MakeCache(kCapacity);
  const std::vector<int64_t> expected = generator.Run(subject.request, cache, options);
  RerunGraph::Counts counts;
  StaticDecoder decoder(subject.model, cache, [&] { return std::make_unique<RerunGraph>(counts); });
  options.static_decoder = &decoder;
  Recorder recorder;
  EXPECT_EQ(generator.Run(subject.request, cache, options, Probe(&recorder, "")), expected);  // as a warm-up is
  EXPECT_EQ(counts.captures, 2);
  EXPECT_EQ(counts.replays, 2);
  EXPECT_EQ(generator.Run(subject.request, cache, options), expected);
  EXPECT_EQ(counts.captures, 2);
  EXPECT_EQ(counts.replays, 2 + kNewTokens - 1);
}

TEST(CudaGraphs, WithoutTheCudaBackendSaysWhatIsMissing) {
  try {
    CudaGraphs();
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the CUDA backend of LibTorch has no _ZN2at4cuda17graph_pool_handleEv"));
  }
}

}  // namespace
}  // namespace dsocr::model
