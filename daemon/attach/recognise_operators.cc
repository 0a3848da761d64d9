#include "daemon/attach/recognise_operators.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "cupti/attribution/dictionary.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

using analytic::ClipSpec;
using analytic::DecoderSpec;
using analytic::ModelSpec;
using Calls = std::span<const OperatorCall>;

constexpr size_t kMaxCalls = 1 << 18;
constexpr int64_t kImageChannels = 3;
constexpr size_t kProductsOfLayer = 4;  // of a vision transformer: qkv, the projection back, two of the MLP

bool IsConvolution(const Weight& weight) { return weight.kind == WeightKind::kConvolution; }
bool IsProduct(const Weight& weight) { return weight.kind == WeightKind::kProduct; }
bool IsPatchEmbedding(const OperatorCall& call) {
  return IsConvolution(call.weight) && call.weight.in == kImageChannels && call.weight.kernel > 1;
}

absl::Status Missing(std::string_view what) {
  return absl::NotFoundError(fmt::format("no DeepSeek-OCR by the operators of the job: {}", what));
}

template <typename Claim>
Calls From(Calls calls, Claim claim) {
  return calls.subspan(static_cast<size_t>(std::find_if(calls.begin(), calls.end(), claim) - calls.begin()));
}

// Up to, without, the first for which the claim is true; it is looked for from the second on.
template <typename Claim>
Calls Before(Calls calls, Claim claim) {
  return calls.first(static_cast<size_t>(std::find_if(calls.begin() + 1, calls.end(), claim) - calls.begin()));
}

std::vector<Weight> ProductsOf(Calls calls) {
  std::vector<Weight> products;
  for (const OperatorCall& call : calls) {
    if (IsProduct(call.weight)) {
      products.push_back(call.weight);
    }
  }
  return products;
}

// Layers of w -> 3 w, w -> w, w -> m, m -> w, and nothing else; 0: they are not such.
struct VisionLayers {
  int64_t layers = 0;
  int64_t width = 0;
  int64_t hidden = 0;
};

VisionLayers ReadVisionLayers(const std::vector<Weight>& products) {
  if (products.size() < kProductsOfLayer || products.size() % kProductsOfLayer != 0) {
    return {};
  }
  const int64_t width = products[0].in;
  const int64_t hidden = products[2].out;
  for (size_t i = 0; i < products.size(); ++i) {
    const int64_t ends[kProductsOfLayer][2] = {{width, 3 * width}, {width, width}, {width, hidden}, {hidden, width}};
    const auto& [in, out] = ends[i % kProductsOfLayer];
    if (products[i].in != in || products[i].out != out) {
      return {};
    }
  }
  return {static_cast<int64_t>(products.size() / kProductsOfLayer), width, hidden};
}

int64_t Root(int64_t square) {
  const auto root = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(square))));
  return root * root == square ? root : 0;
}

// Windows are squares smaller than the grid. Where attention is not one operator, the published ones are taken.
void ReadSamAttention(Calls calls, int64_t grid, analytic::SamSpec* sam) {
  std::vector<int64_t> global;
  int64_t window = 0;
  int64_t layer = 0;
  for (const OperatorCall& call : calls) {
    if (call.weight.kind != WeightKind::kAttention) {
      continue;
    }
    sam->heads = call.heads;
    if (call.size == grid * grid) {
      global.push_back(layer);
    } else {
      window = Root(call.size);
    }
    ++layer;
  }
  if (layer == sam->layers) {
    sam->global_attention_layers = std::move(global);
    sam->window_size = window > 0 ? window : sam->window_size;
  } else {
    std::erase_if(sam->global_attention_layers, [sam](int64_t i) { return i >= sam->layers; });
  }
}

// The calls from a patch embedding to the next.
absl::Status ReadView(Calls view, ModelSpec* model) {
  analytic::SamSpec& sam = model->sam;
  const Weight& patch = view[0].weight;
  sam.width = patch.out;
  sam.patch_size = patch.kernel;
  const int64_t grid = view[0].size / std::max<int64_t>(sam.patch_size, 1);
  sam.image_size = grid * sam.patch_size;
  const Calls blocks = Before(view, [](const OperatorCall& call) { return IsConvolution(call.weight); });
  const VisionLayers layers = ReadVisionLayers(ProductsOf(blocks));
  if (layers.layers == 0 || layers.width != sam.width) {
    return Missing("no SAM blocks after a patch embedding");
  }
  sam.layers = layers.layers;
  sam.mlp_ratio = static_cast<double>(layers.hidden) / static_cast<double>(layers.width);
  ReadSamAttention(blocks, grid, &sam);

  std::vector<Weight> convolutions;
  size_t end = blocks.size();
  for (; end < view.size() && convolutions.size() < 4; ++end) {
    if (IsConvolution(view[end].weight)) {
      convolutions.push_back(view[end].weight);
    }
  }
  if (convolutions.size() < 4 || convolutions[0].in != sam.width || convolutions[0].kernel != 1 ||
      convolutions[1].in != convolutions[1].out || convolutions[2].in != convolutions[1].out ||
      convolutions[3].in != convolutions[2].out) {
    return Missing("no neck and downsampling convolutions after SAM's blocks");
  }
  sam.neck_channels = convolutions[0].out;
  sam.downsample_channels = {convolutions[2].out, convolutions[3].out};

  ClipSpec clip;
  const Calls encoder = view.subspan(end);
  std::vector<Weight> products = ProductsOf(encoder);
  const auto projection = std::find_if(products.begin(), products.end(), [&](const Weight& weight) {
    return weight.in == 2 * convolutions[3].out && weight.out == model->decoder.hidden_size;
  });
  products.erase(projection, products.end());
  const VisionLayers clip_layers = ReadVisionLayers(products);
  if (clip_layers.layers == 0) {
    return Missing("no CLIP layers after SAM");
  }
  clip.layers = clip_layers.layers;
  clip.width = clip_layers.width;
  clip.ffn_hidden_size = clip_layers.hidden;
  const auto attention = std::find_if(encoder.begin(), encoder.end(),
                                      [](const OperatorCall& c) { return c.weight.kind == WeightKind::kAttention; });
  clip.heads = attention != encoder.end() ? attention->heads : std::max<int64_t>(1, clip.width / 64);
  model->encoder = clip;
  return absl::OkStatus();
}

// gate, up and down of a SwiGLU; 0: no such three begin here.
int64_t GatedWidth(std::span<const Weight> products, int64_t hidden) {
  const bool is_gated = products.size() >= 3 && products[0].in == hidden && products[0].out != hidden &&
                        products[1] == products[0] && products[2].in == products[0].out && products[2].out == hidden;
  return is_gated ? products[0].out : 0;
}

// The products of a layer up to its first gated MLP, and the widths of its gated MLPs.
struct DecoderLayer {
  std::vector<Weight> attention;
  std::vector<int64_t> widths;
};

std::vector<DecoderLayer> LayersOf(std::span<const Weight> products, int64_t hidden) {
  std::vector<DecoderLayer> layers;
  for (size_t i = 0; i < products.size();) {
    if (const int64_t width = GatedWidth(products.subspan(i), hidden); width > 0 && !layers.empty()) {
      layers.back().widths.push_back(width);
      i += 3;
      continue;
    }
    if (layers.empty() || !layers.back().widths.empty()) {
      layers.emplace_back();
    }
    layers.back().attention.push_back(products[i]);
    ++i;
  }
  return layers;
}

absl::Status ReadExperts(const DecoderLayer& layer, bool is_decode, DecoderSpec* decoder) {
  const int64_t experts = layer.attention.back().out;
  const int64_t width = layer.widths.front();
  const int64_t shared = layer.widths.back();
  const bool are_alike =
      std::all_of(layer.widths.begin(), layer.widths.end() - 1, [width](int64_t w) { return w == width; });
  if (!are_alike || shared % width != 0) {
    return Missing("the experts of a layer differ");
  }
  decoder->routed_experts = experts;
  decoder->moe_intermediate_size = width;
  decoder->shared_experts = shared / width;
  decoder->experts_per_token =
      is_decode ? static_cast<int64_t>(layer.widths.size()) - 1 : std::min(decoder->experts_per_token, experts);
  return absl::OkStatus();
}

// The calls from a table of tokens to the product back to as many.
absl::Status ReadPass(Calls pass, DecoderSpec* decoder) {
  decoder->vocab_size = pass[0].weight.in;
  decoder->hidden_size = pass[0].weight.out;
  const bool is_decode = pass[0].size == 1;
  std::vector<Weight> products = ProductsOf(pass);
  const std::vector<DecoderLayer> layers = LayersOf(products, decoder->hidden_size);
  const auto has_experts = [](const DecoderLayer& layer) { return layer.widths.size() > 1; };
  const auto first = std::find_if(layers.begin(), layers.end(), has_experts);
  if (first == layers.end() || !std::all_of(first, layers.end(), has_experts)) {
    return Missing("no layers with experts between the tokens and the vocabulary");
  }
  decoder->layers = static_cast<int64_t>(layers.size());
  decoder->first_k_dense = first - layers.begin();
  if (decoder->first_k_dense > 0) {
    decoder->intermediate_size = layers[0].widths.empty() ? 0 : layers[0].widths[0];
  }
  // q and o, k and v; where they are fused, or not, is the aligner's business.
  const std::vector<Weight>& attention = layers[0].attention;
  const auto mixed = std::find_if(pass.begin(), pass.end(),
                                  [](const OperatorCall& call) { return call.weight.kind == WeightKind::kAttention; });
  decoder->heads = mixed != pass.end() ? mixed->heads : std::max<int64_t>(1, decoder->hidden_size / 128);
  decoder->kv_heads = decoder->heads;
  const int64_t head = decoder->hidden_size / std::max<int64_t>(decoder->heads, 1);
  if (attention.size() == 4 && head > 0 && attention[1] == attention[2] && attention[1].out % head == 0) {
    decoder->kv_heads = attention[1].out / head;
  }
  return ReadExperts(*first, is_decode, decoder);
}

// The shortest pass, which is a decode step where there is one: it says how many experts a token has.
Calls ShortestPass(Calls calls) {
  Calls shortest;
  for (size_t i = 0; i < calls.size(); ++i) {
    const Weight& table = calls[i].weight;
    if (table.kind != WeightKind::kTable) {
      continue;
    }
    for (size_t end = i + 1; end < calls.size() && calls[end].weight != table; ++end) {
      const Weight& weight = calls[end].weight;
      if (IsProduct(weight) && weight.in == table.out && weight.out == table.in) {
        if (shortest.empty() || end - i < shortest.size()) {
          shortest = calls.subspan(i, end - i);
        }
        break;
      }
    }
  }
  return shortest;
}

}  // namespace

absl::StatusOr<RecognisedModel> RecogniseCalls(Calls calls) {
  RecognisedModel found{.model = analytic::ModelCatalogue()[0], .names_modules = false};
  const Calls pass = ShortestPass(calls);
  if (pass.empty()) {
    return Missing("no pass from a table of tokens to the vocabulary was seen");
  }
  DSOCR_RETURN_IF_ERROR(ReadPass(pass, &found.model.decoder));
  found.precision = pass[0].element_bytes == 4 ? analytic::Precision::kFp32 : analytic::Precision::kBf16;
  // The page is the largest view; the one that a window cut has no pass after it.
  absl::Status status = Missing("no patch embedding was seen");
  int64_t largest = 0;
  for (Calls rest = From(calls, IsPatchEmbedding); !rest.empty(); rest = From(rest.subspan(1), IsPatchEmbedding)) {
    if (rest[0].size <= largest) {
      continue;
    }
    const Calls view =
        Before(rest, [&](const OperatorCall& call) { return IsPatchEmbedding(call) || call.weight == pass[0].weight; });
    ModelSpec model = found.model;
    const absl::Status read = ReadView(view, &model);
    if (read.ok()) {
      largest = rest[0].size;
      found.model = std::move(model);
      status = absl::OkStatus();
    } else if (largest == 0) {
      status = read;
    }
  }
  DSOCR_RETURN_IF_ERROR(status);
  if (const absl::Status sane = analytic::CheckModel(found.model); !sane.ok()) {
    return Missing(std::string(sane.message()));
  }
  found.remarks = {"the job names no modules: they were inferred from the order and the sizes of its operators",
                   fmt::format("the model's sizes are those of its operators; {} experts a token",
                               found.model.decoder.experts_per_token)};
  return found;
}

struct CallCollector::State {
  struct Thread {
    std::vector<OperatorCall> calls;
    record::OperatorShape shape{};
    bool has_shape = false;
  };

  const attribution::Options no_options;
  attribution::Dictionary dictionary{no_options};
  std::map<uint32_t, Thread> threads;  // by number; kMaxThreads at most
};

CallCollector::CallCollector() : state_(std::make_unique<State>()) {}
CallCollector::~CallCollector() = default;

void CallCollector::Consume(std::span<const record::Record> records) {
  for (const record::Record& record : records) {
    if (record.kind == record::Kind::kNameDefinition) {
      state_->dictionary.DefineName(record.name_definition);
    }
    if (record.thread >= record::kMaxThreads) {
      continue;
    }
    if (record.kind == record::Kind::kOperatorShape) {
      State::Thread& thread = state_->threads[record.thread];
      thread.shape = record.operator_shape;
      thread.has_shape = true;
    } else if (record.kind == record::Kind::kCpuOperation && state_->dictionary.HasName(record.operation.name)) {
      const auto thread = state_->threads.find(record.thread);
      if (thread == state_->threads.end() || !std::exchange(thread->second.has_shape, false)) {
        continue;
      }
      const OperatorCall call = CallOf(state_->dictionary.Text(record.operation.name), &thread->second.shape);
      if (call.weight.kind != WeightKind::kNone && thread->second.calls.size() < kMaxCalls) {
        thread->second.calls.push_back(call);
      }
    }
  }
}

absl::StatusOr<RecognisedModel> CallCollector::Recognise() const {
  absl::Status refusal = Missing("none told its sizes, as they do with --depth all");
  for (const auto& [number, thread] : state_->threads) {
    absl::StatusOr<RecognisedModel> found = RecogniseCalls(thread.calls);
    if (found.ok()) {
      return found;
    }
    if (!thread.calls.empty()) {
      refusal = found.status();
    }
  }
  return refusal;
}

}  // namespace dsocr::attach
