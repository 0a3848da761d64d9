#include "model/command/analyze.h"

#include <c10/core/InferenceMode.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "model/command/exit_code.h"
#include "model/command/frame.h"
#include "model/command/inputs.h"
#include "model/error.h"
#include "model/trace/trace.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::ordered_json;

std::string ReadRequest(std::istream& in) {
  std::string text(kMaxFrameBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxFrameBytes) {
    throw InputError(ErrorCode::kInvalidArgument, "request",
                     "longer than the limit of " + std::to_string(kMaxFrameBytes) + " bytes", "send a shorter one");
  }
  return text;
}

Json ToJson(const StageTrace& trace) {
  if (!trace.error.empty()) return {{"error", trace.error}};
  Json ranges = Json::object();
  for (const auto& [range, counts] : trace.counts) {
    ranges[range] = {{"flops", counts.flops}, {"activations", counts.activations}};
  }
  return {{"ranges", std::move(ranges)}};
}

}  // namespace

int RunAnalyze(std::istream& in, std::ostream& out) {
  const auto start = std::chrono::steady_clock::now();
  const c10::InferenceMode inference;
  const ServeRequest request = ParseServeRequest(ReadRequest(in));
  const ModelConfig config = ConfigOf(request);
  Inputs inputs = MakeInputs(request, config);
  const std::unique_ptr<DeepseekOcr> model = MakeMetaModel(config);
  const Request prepared = model->Prepare(inputs.views, std::move(inputs.ids));
  const ModelTrace trace = TraceModel(*model, prepared, request.context);

  Json isolated = Json::object();
  for (const auto& [stage, traced] : trace.isolated) isolated[stage] = ToJson(traced);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Json document = {
      {"seconds", seconds}, {"extracted", ToJson(trace.extracted)}, {"isolated", std::move(isolated)}};
  out << document.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) << '\n' << std::flush;
  return out ? kExitDone : kExitFailed;
}

}  // namespace dsocr::model
