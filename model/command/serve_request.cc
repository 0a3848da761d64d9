#include "model/command/serve_request.h"

#include <limits>

#include "model/error.h"
#include "model/json_section.h"

namespace dsocr::model {
namespace {

constexpr int kMaxSidePixels = 8192;
constexpr int kMaxPageSidePixels = 1 << 16;
constexpr int64_t kMaxTokens = 1 << 20;
constexpr int kMaxRequests = 10'000;

ServeWorkload ReadWorkload(const JsonSection& from) {
  ServeWorkload workload;
  for (const char* key :
       {"base_size", "image_size", "crop_mode", "page_width", "page_height", "seq_len", "max_new_tokens"}) {
    from.Require(key);
  }
  from.Int("base_size", 1, kMaxSidePixels, workload.base_size);
  from.Int("image_size", 1, kMaxSidePixels, workload.image_size);
  from.Bool("crop_mode", workload.crop_mode);
  from.Int("page_width", 1, kMaxPageSidePixels, workload.page_width);
  from.Int("page_height", 1, kMaxPageSidePixels, workload.page_height);
  from.Int("seq_len", 1, kMaxTokens, workload.seq_len);
  from.Int("max_new_tokens", 1, kMaxTokens, workload.max_new_tokens);
  return workload;
}

void ReadText(const JsonSection& from, const char* key, std::string& out) {
  std::optional<std::string> text;
  from.String(key, text);
  if (text) out = *text;
}

}  // namespace

ServeRequest ParseServeRequest(std::string_view text) {
  const JsonSource source{"request", "send a request as docs/runner-protocol.md says"};
  const nlohmann::json json = ParseJson(text, source);
  const JsonSection root(json, source);
  ServeRequest request;
  root.String("model_dir", request.model_dir);
  root.Bool("random_weights", request.random_weights);
  root.Int("random_seed", int64_t{0}, std::numeric_limits<int64_t>::max(), request.random_seed);
  ReadText(root, "device", request.device);
  ReadText(root, "dtype", request.dtype);
  root.Require("workload");
  request.workload = ReadWorkload(root.Child("workload"));
  root.String("image_path", request.image_path);
  root.String("prompt", request.prompt);
  if (request.prompt && !request.model_dir) root.Fail("prompt", "needs a model_dir whose tokenizer can read it");
  root.Int("warmup", 0, kMaxRequests, request.warmup);
  root.Int("repeats", 1, kMaxRequests, request.repeats);
  request.context = request.workload.seq_len;
  root.Int("context", 0, kMaxTokens, request.context);
  root.Bool("cuda_graphs", request.cuda_graphs);
  if (request.cuda_graphs && !request.device.starts_with("cuda:")) {
    root.Fail("cuda_graphs", "is true, and device '" + request.device + "' has none");
  }
  return request;
}

}  // namespace dsocr::model
