#include "model/moe.h"

#include <ATen/ATen.h>

namespace dsocr::model {
namespace {

// sum over k of weight [T, k] * rows [T, k, hidden], fp32. A matrix product is the fastest way to add them up, but none
// that the model asks for: where FLOPs are counted (model/trace), it is what it stands for.
at::Tensor WeightedSum(const at::Tensor& weight, const at::Tensor& rows) {
  if (weight.is_meta()) return at::mul(weight.unsqueeze(2), rows).sum(1);
  return at::bmm(weight.unsqueeze(1), rows).squeeze(1);
}

}  // namespace

Moe::Moe(const DecoderConfig& config, const std::string& range, const std::string& weight, WeightMap& weights)
    : experts_per_token_(config.num_experts_per_tok),
      norm_topk_prob_(config.norm_topk_prob),
      routed_scaling_factor_(config.routed_scaling_factor),
      gate_(Linear::WithoutBias(weight + "gate", weights)),
      self_range_(range),
      gate_range_(range + "/gate"),
      softmax_range_(range + "/softmax"),
      topk_range_(range + "/topk"),
      dispatch_range_(range + "/dispatch"),
      experts_range_(range + "/experts"),
      add_range_(range + "/add"),
      shared_experts_(range + "/shared_experts", weight + "shared_experts.", weights) {
  for (int64_t e = 0; e < config.n_routed_experts; ++e) {
    const std::string expert = weight + "experts." + std::to_string(e) + ".";
    experts_.push_back({Linear::WithoutBias(expert + "gate_proj", weights),
                        Linear::WithoutBias(expert + "up_proj", weights),
                        Linear::WithoutBias(expert + "down_proj", weights)});
  }
}

Moe::Routing Moe::Route(const at::Tensor& x, Phase phase, const Probe& probe) const {
  // In bf16 the product is bf16, as autocast makes it in the published model; the softmax is fp32 in any case.
  const at::Tensor logits = In(gate_range_[phase], [&] { return gate_(x).to(at::kFloat); });
  const at::Tensor scores = In(softmax_range_[phase], [&] { return at::softmax(logits, -1); });
  probe("gate_scores", scores);
  Routing routing = In(topk_range_[phase], [&] {
    auto [weight, index] = at::topk(scores, experts_per_token_, -1, /*largest=*/true, /*sorted=*/true);
    if (norm_topk_prob_ && experts_per_token_ > 1) weight.div_(weight.sum(-1, /*keepdim=*/true).add_(1e-20));
    if (routed_scaling_factor_ != 1.0) weight.mul_(routed_scaling_factor_);
    return Routing{index, weight};
  });
  probe("topk_idx", routing.index);
  probe("topk_weight", routing.weight);
  return routing;
}

Moe::Dispatch Moe::SpreadEvenly(const at::Tensor& index) const {
  Dispatch dispatch;
  const int64_t pairs = index.numel(), expert_count = static_cast<int64_t>(experts_.size());
  for (int64_t e = 0; e < expert_count; ++e) {
    const int64_t first = pairs * e / expert_count, end = pairs * (e + 1) / expert_count;
    if (end > first) dispatch.runs.push_back({e, first, end - first});
  }
  if (index.size(0) > 1) dispatch.row_token = dispatch.pair_row = at::empty({pairs}, index.options());
  return dispatch;
}

Moe::Dispatch Moe::Sort(const at::Tensor& index) const {
  if (index.is_meta()) return SpreadEvenly(index);
  Dispatch dispatch;
  if (index.size(0) == 1) {  // a decode step: the k experts in routing order, one row each
    const at::Tensor host = index.to(at::kCPU);
    const int64_t* expert = host.const_data_ptr<int64_t>();
    for (int64_t k = 0; k < experts_per_token_; ++k) dispatch.runs.push_back({expert[k], k, 1});
    return dispatch;
  }
  const int64_t expert_count = static_cast<int64_t>(experts_.size());
  const at::Tensor pairs = index.view(-1);
  const at::Tensor order = at::argsort(pairs, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  dispatch.row_token = at::floor_divide(order, experts_per_token_);
  dispatch.pair_row = at::empty_like(order);
  dispatch.pair_row.index_copy_(0, order, at::arange(order.size(0), order.options()));
  const at::Tensor counts = at::bincount(pairs, {}, expert_count).to(at::kCPU);
  const int64_t* count = counts.const_data_ptr<int64_t>();
  int64_t first = 0;
  for (int64_t e = 0; e < expert_count; ++e) {
    if (count[e] > 0) dispatch.runs.push_back({e, first, count[e]});
    first += count[e];
  }
  return dispatch;
}

at::Tensor Moe::RunExperts(const at::Tensor& x, const Routing& routing, const Dispatch& dispatch) const {
  const int64_t tokens = x.size(0), hidden = x.size(1);
  const bool is_sorted = dispatch.row_token.defined();
  at::Tensor rows = is_sorted ? x.index_select(0, dispatch.row_token) : x;
  std::vector<at::Tensor> parts;
  parts.reserve(dispatch.runs.size());
  for (const Dispatch::Run& run : dispatch.runs) {
    const Expert& expert = experts_[run.expert];
    const at::Tensor in = is_sorted ? rows.narrow(0, run.first, run.count) : rows;
    at::Tensor inner = expert.gate(in);
    at::silu_(inner).mul_(expert.up(in));
    parts.push_back(expert.down(inner));
  }
  rows.reset();
  at::Tensor outputs = at::cat(parts);  // runs are in the order of the rows
  parts.clear();
  if (is_sorted) outputs = outputs.index_select(0, dispatch.pair_row);
  return WeightedSum(routing.weight, outputs.view({tokens, experts_per_token_, hidden}).to(at::kFloat))
      .to(x.scalar_type());
}

at::Tensor Moe::RunGathered(const at::Tensor& x, const Routing& routing) const {
  const at::Tensor expert = routing.index.view(-1);
  const auto product = [&](const at::Tensor& rows, const at::Tensor& stacked) {
    return at::bmm(rows, stacked.index_select(0, expert).transpose(1, 2));
  };
  const at::Tensor rows = x.expand({experts_per_token_, 1, x.size(1)});
  at::Tensor inner = product(rows, stacked_.gate);
  at::silu_(inner).mul_(product(rows, stacked_.up));
  const at::Tensor outputs = product(inner, stacked_.down);  // [k, 1, hidden]
  return WeightedSum(routing.weight, outputs.transpose(0, 1).to(at::kFloat)).to(x.scalar_type());
}

at::Tensor Moe::Stack(Linear Expert::*projection) {
  std::vector<at::Tensor> weights;
  for (const Expert& expert : experts_) weights.push_back((expert.*projection).weight());
  const at::Tensor stacked = at::stack(weights);
  for (size_t e = 0; e < experts_.size(); ++e) experts_[e].*projection = Linear(stacked[static_cast<int64_t>(e)]);
  return stacked;
}

void Moe::StackExperts() {
  if (stacked_.gate.defined()) return;
  stacked_ = {Stack(&Expert::gate), Stack(&Expert::up), Stack(&Expert::down)};
}

at::Tensor Moe::Forward(const at::Tensor& x, Phase phase, ExpertChoice choice, const Probe& probe) const {
  const Range range(self_range_[phase]);
  const Routing routing = Route(x, phase, probe);
  at::Tensor routed;
  if (choice == ExpertChoice::kOnHost) {
    const Dispatch dispatch = In(dispatch_range_[phase], [&] { return Sort(routing.index); });
    routed = In(experts_range_[phase], [&] { return RunExperts(x, routing, dispatch); });
  } else {
    routed = In(experts_range_[phase], [&] { return RunGathered(x, routing); });
  }
  const at::Tensor shared = shared_experts_.Forward(x, phase);
  In(add_range_[phase], [&] { routed.add_(shared); });
  return routed;
}

}  // namespace dsocr::model
