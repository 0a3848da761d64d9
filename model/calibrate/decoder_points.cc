// The operators of model/decoder.cc, model/moe.cc and model/generate.cc, in prefill and in decode.
#include <ATen/ATen.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "model/calibrate/bench.h"
#include "model/decoder_ops.h"
#include "model/layers.h"
#include "model/products.h"

namespace dsocr::model {
namespace {

constexpr int64_t kHidden = 1280;
constexpr int64_t kDenseWidth = 6848;
constexpr int64_t kSharedWidth = 1792;
constexpr int64_t kExpertWidth = 896;
constexpr int64_t kHeads = 10;
constexpr int64_t kHeadDim = kHidden / kHeads;
constexpr int64_t kExperts = 64;
constexpr int64_t kExpertsPerToken = 6;
constexpr int64_t kVocabulary = 129'280;
constexpr int64_t kCacheCapacity = 512;  // positions, in decode
constexpr double kEps = 1e-6;

Point ProductPoint(const std::string& name, const GemmShape& shape, int64_t element) {
  return {shape.m == 1 ? "gemv" : "gemm", name, GemmWork(shape, element),
          [shape](Bench& bench) {
            return [x = bench.Activation({shape.m, shape.k}), w = bench.Weight({shape.n, shape.k})] {
              Linear{w->Next()}(x);
            };
          },
          shape};
}

// Operators of prefill over `tokens` positions, or of a step of decode.
class DecoderTable {
 public:
  DecoderTable(int64_t element_bytes, int64_t tokens)
      : element_(element_bytes),
        tokens_(tokens),
        expert_rows_(std::max<int64_t>(1, tokens * kExpertsPerToken / kExperts)),
        prefix_(tokens == 1 ? "decode" : "prefill " + std::to_string(tokens)) {}

  // In the order of a layer; a dense MLP after experts.
  void AddLayer(int64_t keys) {
    AddLinear("q_proj", tokens_, kHidden, kHidden);
    AddRope();
    AddCacheWrite();
    AddCore(keys);
    AddMergeHeads();
    AddResidual();
    AddNorm();
    AddRouting();
    AddMlp("expert", expert_rows_, kExpertWidth);
    AddExpertSum();
    AddMlp("shared", tokens_, kSharedWidth);
    AddMlp("dense", tokens_, kDenseWidth);
  }

  void AddPromptLookups() {
    AddEmbedding();
    AddImageRows();
  }

  void AddCore(int64_t keys) {
    const AttentionShape core = {1, kHeads, tokens_, keys, kHeadDim, /*has_bias=*/false, /*is_causal=*/tokens_ > 1};
    const std::string name = tokens_ == 1 ? "core " + std::to_string(keys) : "core";
    Add(
        "attention", name, AttentionWork(core, element_),
        [tokens = tokens_, keys](Bench& bench) -> Body {
          const std::vector<int64_t> shape = {1, kHeads, keys + 1, kHeadDim};
          const at::Tensor q = bench.Activation({1, tokens, kHeads, kHeadDim});
          const auto attend = [q, keys, tokens](const at::Tensor& k, const at::Tensor& v) {
            AttentionProduct(q.transpose(1, 2), k.narrow(2, 0, keys), v.narrow(2, 0, keys), {},
                             /*is_causal=*/tokens > 1);
          };
          if (tokens > 1) {
            return [attend, k = bench.Filled(shape, 0.5), v = bench.Filled(shape, 0.5)] { attend(k, v); };
          }
          // Between two steps of decode the weights of all layers go by, which leave nothing of a layer's cache in a
          // cache of the device's.
          return [attend, kv = bench.Weight(shape)] {
            const at::Tensor& k = kv->Next();
            attend(k, kv->Next());
          };
        },
        core);
  }

  // Between two steps of decode.
  void AddStepEnd() {
    AddLinear("lm_head", 1, kHidden, kVocabulary);
    AddSampling();
    AddEmbedding();
  }

  std::vector<Point> Take() { return std::move(points_); }

 private:
  void Add(const std::string& category, const std::string& name, const Work& work, std::function<Body(Bench&)> prepare,
           const PointSize& size = {}) {
    points_.push_back({category, prefix_ + " " + name, work, std::move(prepare), size});
  }

  void AddLinear(const std::string& name, int64_t rows, int64_t in, int64_t out) {
    const GemmShape shape = {.m = rows, .n = out, .k = in};
    points_.push_back(ProductPoint(prefix_ + " " + name, shape, element_));
  }

  void AddNorm() {
    Add("norm", "rms_norm", RmsNormWork(tokens_, kHidden, element_), [tokens = tokens_](Bench& bench) {
      return [x = bench.Activation({tokens, kHidden}), norm = RmsNorm(bench.Filled({kHidden}, 1), kEps)] { norm(x); };
    });
  }

  void AddRope() {
    Add("rope", "rope", RopeWork(tokens_, 2 * kHeads, kHeadDim, element_), [tokens = tokens_](Bench& bench) {
      return [qk = bench.Activation({2, 1, tokens, kHeads, kHeadDim}),
              rope = RopeTable{bench.Filled({tokens, 1, kHeadDim}, 0.5), bench.Filled({tokens, 1, kHeadDim}, 0.5)},
              tokens] {
        const RopeTable rows = rope.Rows(0, tokens);
        Rotate(qk[0], rows);
        Rotate(qk[1], rows);
      };
    });
  }

  void AddCacheWrite() {
    const int64_t written = 2 * tokens_ * kHidden;
    const int64_t capacity = std::max(tokens_, kCacheCapacity);
    Add("copy", "kv_cache", CopyWork(written, written, element_), [tokens = tokens_, capacity](Bench& bench) {
      return
          [x = bench.Activation({1, tokens, kHeads, kHeadDim}), k = bench.Filled({1, kHeads, capacity, kHeadDim}, 0.5),
           v = bench.Filled({1, kHeads, capacity, kHeadDim}, 0.5), tokens] {
            k.narrow(2, 0, tokens).copy_(x.transpose(1, 2));
            v.narrow(2, 0, tokens).copy_(x.transpose(1, 2));
          };
    });
  }

  void AddMergeHeads() {
    Add("copy", "merge_heads", CopyWork(tokens_ * kHidden, tokens_ * kHidden, element_),
        [tokens = tokens_](Bench& bench) {
          return [x = bench.Activation({1, kHeads, tokens, kHeadDim}), tokens] {
            x.transpose(1, 2).reshape({tokens, kHidden});
          };
        });
  }

  void AddResidual() {
    Add("elementwise", "residual", ElementwiseWork(2 * tokens_ * kHidden, tokens_ * kHidden, element_),
        [tokens = tokens_](Bench& bench) {
          return [x = bench.Activation({tokens, kHidden}), y = bench.Filled({tokens, kHidden}, 0)] { x.add_(y); };
        });
  }

  void AddRouting() {
    const GemmShape gate = {.m = tokens_, .n = kExperts, .k = kHidden};
    Add(
        tokens_ == 1 ? "gemv" : "gemm", "gate", GemmWork(gate, element_),
        [tokens = tokens_](Bench& bench) {
          return [x = bench.Activation({tokens, kHidden}), w = bench.Weight({kExperts, kHidden})] {
            Linear{w->Next()}(x).to(at::kFloat);
          };
        },
        gate);
    Add("softmax", "softmax", SoftmaxWork(tokens_, kExperts, element_), [tokens = tokens_](Bench& bench) {
      return [x = bench.Float({tokens, kExperts}, 0.5)] { at::softmax(x, -1); };
    });
    Add("routing", "topk", TopKWork(tokens_, kExperts, kExpertsPerToken), [tokens = tokens_](Bench& bench) {
      // Scores in no order, as a router gives them: 37 and the number of experts have no common factor.
      const at::Tensor scores = bench.Indices(tokens * kExperts, kExperts).mul_(37).remainder_(kExperts);
      return [x = scores.to(at::kFloat).view({tokens, kExperts})] {
        at::topk(x, kExpertsPerToken, -1, /*largest=*/true, /*sorted=*/true);
      };
    });
    const int64_t pairs = tokens_ * kExpertsPerToken;
    Add("routing", "dispatch", DispatchWork(pairs, kExperts), [pairs, tokens = tokens_](Bench& bench) -> Body {
      const at::Tensor index = bench.Indices(pairs, kExperts).mul_(37).remainder_(kExperts);
      if (tokens == 1) {
        return [index] { index.to(at::kCPU); };
      }
      return [index] {
        const at::Tensor order = at::argsort(index, /*stable=*/true, /*dim=*/0, /*descending=*/false);
        const at::Tensor rows = at::floor_divide(order, kExpertsPerToken);
        at::empty_like(order).index_copy_(0, order, at::arange(order.size(0), order.options()));
        at::bincount(index, {}, kExperts).to(at::kCPU);
      };
    });
    if (tokens_ > 1) {
      Add("index", "expert rows", GatherWork(pairs, kHidden, element_), [pairs, tokens = tokens_](Bench& bench) {
        return [x = bench.Activation({tokens, kHidden}), index = bench.Indices(pairs, tokens)] {
          x.index_select(0, index);
        };
      });
    }
  }

  void AddMlp(const std::string& name, int64_t rows, int64_t width) {
    AddLinear(name + " gate_proj", rows, kHidden, width);
    Add("activation", name + " silu", SiluWork(rows * width, element_), [rows, width](Bench& bench) {
      return [x = bench.Activation({rows, width})]() mutable { at::silu_(x); };
    });
    Add("elementwise", name + " mul", ElementwiseWork(2 * rows * width, rows * width, element_),
        [rows, width](Bench& bench) {
          return [x = bench.Activation({rows, width}), y = bench.Filled({rows, width}, 1)] { x.mul_(y); };
        });
    AddLinear(name + " down_proj", rows, width, kHidden);
  }

  // The weighted sum of each token's k expert rows, in fp32.
  void AddExpertSum() {
    const int64_t pairs = tokens_ * kExpertsPerToken;
    const Work work =
        ElementwiseWork(pairs * (kHidden + 1), tokens_ * kHidden, element_, /*flops_per_written=*/2 * kExpertsPerToken);
    Add("elementwise", "expert sum", work, [tokens = tokens_](Bench& bench) {
      return [x = bench.Activation({tokens, kExpertsPerToken, kHidden}),
              w = bench.Float({tokens, 1, kExpertsPerToken}, 0.5)] {
        at::bmm(w, x.to(at::kFloat)).squeeze(1).to(x.scalar_type());
      };
    });
  }

  void AddEmbedding() {
    Add("embedding", "embed_tokens", GatherWork(tokens_, kHidden, element_), [tokens = tokens_](Bench& bench) {
      // Rows far apart, as tokens of a text are.
      constexpr int64_t kStride = 7919;
      return [table = bench.Weight({kVocabulary, kHidden}),
              ids = bench.Indices(tokens, kVocabulary).mul_(kStride).remainder_(kVocabulary)] {
        at::embedding(table->Next(), ids);
      };
    });
  }

  void AddImageRows() {
    const int64_t image_tokens = tokens_ / 2;
    Add("index", "merge_image_features", GatherWork(image_tokens, kHidden, element_),
        [tokens = tokens_, image_tokens](Bench& bench) {
          return [x = bench.Activation({tokens, kHidden}), rows = bench.Filled({image_tokens, kHidden}, 0.5),
                  index = bench.Indices(image_tokens, tokens)] { x.index_copy_(0, index, rows); };
        });
  }

  void AddSampling() {
    Add("sampling", "sample", SamplingWork(kVocabulary, kCacheCapacity, element_), [](Bench& bench) {
      return [x = bench.Activation({1, kVocabulary})] { x.to(at::kFloat).argmax(-1).item<int64_t>(); };
    });
  }

  const int64_t element_;
  const int64_t tokens_;
  const int64_t expert_rows_;  // of one expert, tokens spread evenly
  const std::string prefix_;
  std::vector<Point> points_;
};

}  // namespace

std::vector<Point> PrefillPoints(const Bench& bench, int64_t tokens) {
  DecoderTable table(bench.element_bytes(), tokens);
  table.AddPromptLookups();
  table.AddLayer(tokens);
  return table.Take();
}

std::vector<Point> DecodeLayerPoints(const Bench& bench) {
  DecoderTable table(bench.element_bytes(), 1);
  table.AddLayer(kCacheCapacity);
  return table.Take();
}

std::vector<Point> DecodeCorePoints(const Bench& bench, std::initializer_list<int64_t> keys) {
  DecoderTable table(bench.element_bytes(), 1);
  for (const int64_t count : keys) {
    table.AddCore(count);
  }
  return table.Take();
}

std::vector<Point> DecodeEndPoints(const Bench& bench) {
  DecoderTable table(bench.element_bytes(), 1);
  table.AddStepEnd();
  return table.Take();
}

std::vector<Point> ProductPoints(const Bench& bench) {
  std::vector<Point> points;
  for (const int64_t side : {64, 256, 1024}) {
    for (const int64_t rows : {1, 16, 256, 4096}) {
      const GemmShape shape = {.m = rows, .n = side, .k = side};
      const std::string name = "product " + std::to_string(rows) + "x" + std::to_string(side) + " square";
      points.push_back(ProductPoint(name, shape, bench.element_bytes()));
    }
  }
  return points;
}

}  // namespace dsocr::model
