#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>

#include "analytic/op/moe.h"
#include "analytic/routing.h"
#include "daemon/export/layer_parts.h"
#include "daemon/export/text.h"
#include "fmt/format.h"

namespace dsocr::exporter {

void AddExpertRows(const v1::ModuleMeasurement& measured, const analytic::DecoderSpec* decoder, Table* table) {
  if (measured.has_distinct_experts()) {
    table->Add({"distinct experts a call", Figure(measured.distinct_experts())});
  }
  const v1::ExpertPicks* layer = nullptr;  // with the busiest expert
  int64_t most = 0;
  for (const v1::ExpertPicks& picks : measured.expert_picks()) {
    if (const auto busiest = std::max_element(picks.picks().begin(), picks.picks().end());
        busiest != picks.picks().end() && *busiest > most) {
      layer = &picks;
      most = *busiest;
    }
  }
  if (layer == nullptr || decoder == nullptr) {
    return;
  }
  const auto picked = std::accumulate(layer->picks().begin(), layer->picks().end(), 0.0);
  const double tokens = picked / static_cast<double>(decoder->experts_per_token);
  const double passes = static_cast<double>(measured.calls()) / measured.expert_picks_size();
  const int64_t tokens_of_a_call = std::llround(tokens / std::max(1.0, passes));
  table->Add({"of an even routing", Figure(analytic::ExpectedDistinctExperts(
                                        decoder->routed_experts, decoder->experts_per_token, tokens_of_a_call))});
  table->Add(
      {"tokens that picked the busiest expert",
       fmt::format(
           "{} (layer {}; of an even routing {})", Percent(static_cast<double>(most) / tokens), layer->layer(),
           Percent(static_cast<double>(decoder->experts_per_token) / static_cast<double>(decoder->routed_experts)))});
}

std::string RoutingText(const analytic::DecoderSpec& decoder) {
  if (decoder.routing == nullptr) {
    return "";
  }
  const analytic::Routing& routing = *decoder.routing;
  return fmt::format(
      "\nThis prediction goes by the routing that {} recorded, over {} tokens in prefill and {} in decode, in place of "
      "the even one. Where $n_x$ of $n$ recorded tokens picked expert $x$ of a layer, $T$ of them miss it with the "
      "probability $m_x$, and $D$ is the mean over the layers of what is not missed:\n\n{}\nBeyond the recorded tokens "
      "an expert that none of them picked is as rare as those that just one picked. A stage without recorded tokens "
      "routes evenly.\n",
      Escaped(routing.source), Grouped(routing.prefill.tokens()), Grouped(routing.decode.tokens()),
      MathBlock({"m_x(T) &= \\binom{n - n_x}{T} \\Big/ \\binom{n}{T}, \\quad T \\le n",
                 "D(T) &= \\overline{\\sum_x \\left( 1 - m_x(T) \\right)}"}));
}

}  // namespace dsocr::exporter
