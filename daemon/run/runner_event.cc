#include "daemon/run/runner_event.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::run {
namespace {

using Json = nlohmann::json;

constexpr int kMaxNesting = 8;         // events have three levels
constexpr size_t kMaxTextBytes = 500;  // of a message for a person; the rest of a longer one is cut

absl::Status Bad(std::string_view key, std::string_view expected) {
  return absl::InvalidArgumentError(fmt::format("an event whose '{}' is not {}", key, expected));
}

std::string OneLine(std::string text) {
  text.resize(std::min(text.size(), kMaxTextBytes));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

absl::StatusOr<std::string> ReadText(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    return Bad(key, "a text");
  }
  return found->get<std::string>();
}

absl::StatusOr<int64_t> ToCount(const Json& value, const char* key) {
  constexpr double kMaxCount = 9e18;
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > kMaxCount) {
    return Bad(key, "a count");
  }
  return value.get<int64_t>();
}

absl::StatusOr<int64_t> ReadCount(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? Bad(key, "a count") : ToCount(*found, key);
}

absl::StatusOr<RunnerEvent> ReadState(const Json& json) {
  constexpr std::pair<std::string_view, v1::RunState> kStates[] = {
      {"loading", v1::RUN_STATE_LOADING}, {"warmup", v1::RUN_STATE_WARMUP}, {"measuring", v1::RUN_STATE_MEASURING}};
  DSOCR_ASSIGN_OR_RETURN(const std::string word, ReadText(json, "state"));
  const auto state =
      std::find_if(std::begin(kStates), std::end(kStates), [&](const auto& s) { return s.first == word; });
  if (state == std::end(kStates)) {
    return Bad("state", "loading, warmup or measuring");
  }
  StateEvent event{.state = state->second, .message = "", .progress = std::nullopt};
  DSOCR_ASSIGN_OR_RETURN(event.message, ReadText(json, "message"));
  event.message = OneLine(std::move(event.message));
  if (const auto progress = json.find("progress"); progress != json.end() && !progress->is_null()) {
    if (!progress->is_number() || !(progress->get<double>() >= 0 && progress->get<double>() <= 1)) {
      return Bad("progress", "a number from 0 to 1");
    }
    event.progress = progress->get<double>();
  }
  return event;
}

absl::StatusOr<RunnerEvent> ReadLoaded(const Json& json) {
  LoadedEvent event;
  DSOCR_ASSIGN_OR_RETURN(event.parameters, ReadCount(json, "parameters"));
  const auto device = json.find("device");
  if (device == json.end() || !device->is_object()) {
    return Bad("device", "an object");
  }
  DSOCR_ASSIGN_OR_RETURN(std::string name, ReadText(*device, "name"));
  DSOCR_ASSIGN_OR_RETURN(std::string kind, ReadText(*device, "kind"));
  DSOCR_ASSIGN_OR_RETURN(std::string driver, ReadText(*device, "driver"));
  DSOCR_ASSIGN_OR_RETURN(const int64_t cores, ReadCount(*device, "cores"));
  event.device.set_name(OneLine(std::move(name)));
  event.device.set_kind(OneLine(std::move(kind)));
  event.device.set_driver(OneLine(std::move(driver)));
  event.device.set_cores(cores);
  return event;
}

absl::StatusOr<RunnerEvent> ReadPrepared(const Json& json) {
  PreparedEvent event;
  DSOCR_ASSIGN_OR_RETURN(event.seq_len, ReadCount(json, "seq_len"));
  DSOCR_ASSIGN_OR_RETURN(event.image_tokens, ReadCount(json, "image_tokens"));
  return event;
}

absl::StatusOr<calibrate::ProbeTimes> ReadProbe(const Json& json) {
  calibrate::ProbeTimes probe;
  for (const auto& [key, time_ns] : {std::pair("gemm_ns", &probe.gemm_ns), std::pair("copy_ns", &probe.copy_ns)}) {
    const auto value = json.is_object() ? json.find(key) : json.end();
    if (value == json.end() || !value->is_number() || !(value->get<double>() > 0)) {
      return Bad(fmt::format("probe.{}", key), "nanoseconds above 0");
    }
    *time_ns = value->get<double>();
  }
  return probe;
}

absl::StatusOr<RunnerEvent> ReadRequest(const Json& json) {
  RequestEvent event;
  DSOCR_ASSIGN_OR_RETURN(event.index, ReadCount(json, "index"));
  DSOCR_ASSIGN_OR_RETURN(event.wall_ns, ReadCount(json, "wall_ns"));
  DSOCR_ASSIGN_OR_RETURN(event.off_cpu_ns, ReadCount(json, "off_cpu_ns"));
  if (const auto probe = json.find("probe"); probe != json.end() && !probe->is_null()) {
    DSOCR_ASSIGN_OR_RETURN(event.probe, ReadProbe(*probe));
  }
  const auto warmup = json.find("warmup");
  if (warmup == json.end() || !warmup->is_boolean()) {
    return Bad("warmup", "true or false");
  }
  event.is_warmup = warmup->get<bool>();
  const auto tokens = json.find("tokens");
  if (tokens == json.end() || !tokens->is_array()) {
    return Bad("tokens", "a list");
  }
  event.tokens = static_cast<int64_t>(tokens->size());
  return event;
}

absl::StatusOr<std::vector<int64_t>> ReadCounts(const Json& object, const char* key) {
  constexpr size_t kMaxCounts = 65'536;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array() || found->size() > kMaxCounts) {
    return Bad(key, "a list of counts");
  }
  std::vector<int64_t> counts;
  for (const Json& value : *found) {
    DSOCR_ASSIGN_OR_RETURN(counts.emplace_back(), ToCount(value, key));
  }
  return counts;
}

absl::StatusOr<RunnerEvent> ReadExperts(const Json& json) {
  constexpr size_t kMaxLayers = 4096;
  const auto layers = json.find("layers");
  if (layers == json.end() || !layers->is_array() || layers->size() > kMaxLayers) {
    return Bad("layers", "a list");
  }
  ExpertsEvent event;
  for (const Json& layer : *layers) {
    if (!layer.is_object()) {
      return Bad("layers", "a list of objects");
    }
    report::ExpertsHit hit;
    DSOCR_ASSIGN_OR_RETURN(hit.layer, ReadCount(layer, "layer"));
    DSOCR_ASSIGN_OR_RETURN(hit.prefill, ReadCount(layer, "prefill"));
    DSOCR_ASSIGN_OR_RETURN(hit.decode, ReadCount(layer, "decode"));
    DSOCR_ASSIGN_OR_RETURN(hit.prefill_picks, ReadCounts(layer, "prefill_picks"));
    DSOCR_ASSIGN_OR_RETURN(hit.decode_picks, ReadCounts(layer, "decode_picks"));
    event.layers.push_back(std::move(hit));
  }
  return event;
}

absl::StatusOr<RunnerEvent> ReadDone(const Json& json) {
  DoneEvent event;
  DSOCR_ASSIGN_OR_RETURN(event.peak_rss_bytes, ReadCount(json, "peak_rss_bytes"));
  if (const auto text = json.find("text"); text != json.end() && !text->is_null()) {
    DSOCR_ASSIGN_OR_RETURN(event.text, ReadText(json, "text"));
  }
  return event;
}

absl::StatusOr<RunnerEvent> ReadError(const Json& json) {
  constexpr std::pair<std::string_view, absl::StatusCode> kCodes[] = {
      {"invalid_argument", absl::StatusCode::kInvalidArgument},
      {"not_found", absl::StatusCode::kNotFound},
      {"failed_precondition", absl::StatusCode::kFailedPrecondition},
      {"permission_denied", absl::StatusCode::kPermissionDenied},
      {"resource_exhausted", absl::StatusCode::kResourceExhausted},
      {"internal", absl::StatusCode::kInternal}};
  DSOCR_ASSIGN_OR_RETURN(const std::string word, ReadText(json, "code"));
  const auto code = std::find_if(std::begin(kCodes), std::end(kCodes), [&](const auto& c) { return c.first == word; });
  if (code == std::end(kCodes)) {
    return Bad("code", "one of the protocol's");
  }
  DSOCR_ASSIGN_OR_RETURN(std::string what, ReadText(json, "what"));
  DSOCR_ASSIGN_OR_RETURN(std::string why, ReadText(json, "why"));
  DSOCR_ASSIGN_OR_RETURN(std::string todo, ReadText(json, "todo"));
  const std::string text =
      fmt::format("{}: {}; {}", OneLine(std::move(what)), OneLine(std::move(why)), OneLine(std::move(todo)));
  return ErrorEvent{absl::Status(code->second, text)};
}

}  // namespace

absl::StatusOr<RunnerEvent> ParseRunnerEvent(std::string_view text) {
  bool is_too_deep = false;
  const auto limit_nesting = [&](int depth, Json::parse_event_t, Json&) {
    is_too_deep |= depth > kMaxNesting;
    return !is_too_deep;
  };
  const Json json = Json::parse(text, limit_nesting, /*allow_exceptions=*/false);
  if (is_too_deep || !json.is_object()) {
    return absl::InvalidArgumentError("a frame that is no JSON object");
  }
  constexpr std::pair<std::string_view, absl::StatusOr<RunnerEvent> (*)(const Json&)> kReaders[] = {
      {"state", ReadState},     {"loaded", ReadLoaded}, {"prepared", ReadPrepared}, {"request", ReadRequest},
      {"experts", ReadExperts}, {"done", ReadDone},     {"error", ReadError}};
  DSOCR_ASSIGN_OR_RETURN(const std::string kind, ReadText(json, "event"));
  const auto reader =
      std::find_if(std::begin(kReaders), std::end(kReaders), [&](const auto& r) { return r.first == kind; });
  if (reader == std::end(kReaders)) {
    return Bad("event", "one of the protocol's");
  }
  return reader->second(json);
}

}  // namespace dsocr::run
