#include "model/generate.h"

#include <ATen/ATen.h>

#include <limits>
#include <utility>

#include "model/ngram.h"

namespace dsocr::model {

Generator::Generator(DeepseekOcr& model)
    : model_(model), root_range_("deepseek_ocr"), phase_range_(""), sample_range_("sample") {}

Generator::Token Generator::Sample(const at::Tensor& logits, const std::vector<int64_t>& sequence,
                                   int no_repeat_ngram_size, Phase phase, const Probe& probe) const {
  probe("step_logits", logits);
  const Range range(sample_range_[phase]);
  at::Tensor scores = logits.to(at::kFloat);
  if (no_repeat_ngram_size > 0) {
    const std::vector<int64_t> banned = BannedTokens(sequence, no_repeat_ngram_size);
    if (!banned.empty()) {
      scores.index_fill_(1, at::tensor(banned, at::kLong).to(scores.device()), -std::numeric_limits<float>::infinity());
    }
  }
  const at::Tensor token = scores.argmax(-1);
  return {token, token.item<int64_t>()};
}

at::Tensor Generator::DecodeStep(const at::Tensor& token, KvCache& cache, StaticDecoder* static_decoder,
                                 const Probe& probe) const {
  if (static_decoder != nullptr) return static_decoder->Step(token, probe);
  const Decoder& decoder = model_.decoder();
  const at::Tensor x = decoder.Embed(token, Phase::kDecode);
  const at::Tensor hidden = decoder.Forward(x, Phase::kDecode, cache, probe);
  return decoder.LastLogits(hidden, Phase::kDecode);
}

std::vector<int64_t> Generator::Run(const Request& request, KvCache& cache, const GenerateOptions& options,
                                    const Probe& probe) const {
  const Range root(root_range_);
  std::vector<int64_t> sequence = request.ids;
  sequence.reserve(sequence.size() + options.max_new_tokens);
  const size_t prompt_length = request.ids.size();
  cache.length = 0;

  std::optional<at::Tensor> image_rows = model_.ImageRows(request, probe);
  Token token = In(phase_range_[Phase::kPrefill], [&] {
    const at::Tensor hidden = model_.Prefill(request, std::move(image_rows), cache, probe);
    const at::Tensor logits = model_.decoder().LastLogits(hidden, Phase::kPrefill);
    return Sample(logits, sequence, options.no_repeat_ngram_size, Phase::kPrefill, probe);
  });
  sequence.push_back(token.id);

  // The fixtures name the tensors of prefill, and of the steps the logits.
  const Probe step_probe = probe.Sub("step.");
  const auto is_done = [&] {
    return static_cast<int64_t>(sequence.size() - prompt_length) >= options.max_new_tokens ||
           (options.stop_at_eos && token.id == model_.config().eos_token_id);
  };
  while (!is_done()) {
    token = In(phase_range_[Phase::kDecode], [&] {
      const at::Tensor logits = DecodeStep(token.on_device, cache, options.static_decoder, step_probe);
      return Sample(logits, sequence, options.no_repeat_ngram_size, Phase::kDecode, probe);
    });
    sequence.push_back(token.id);
  }
  return {sequence.begin() + static_cast<std::ptrdiff_t>(prompt_length), sequence.end()};
}

}  // namespace dsocr::model
