#include "daemon/attach/chrome_trace.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "daemon/attach/json_reader.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr std::string_view kModulePrefix = "nn.Module: ";
constexpr size_t kMaxNamesBytes = 64 * 1024 * 1024;  // of all distinct names
constexpr int64_t kEventsBetweenQuestions = 1 << 14;
// The farthest time from zero, 73 years: differences of two fit 64 bits.
constexpr int64_t kMaxTimeNs = int64_t{1} << 61;

enum class Category : uint8_t { kNone, kOperator, kFunction, kAnnotation, kLaunch, kKernel, kCopy, kSet };

struct NamedCategory {
  std::string_view name;  // lower case
  Category category;
};

constexpr NamedCategory kCategories[] = {
    {"cpu_op", Category::kOperator},     {"operator", Category::kOperator},
    {"kernel", Category::kKernel},       {"python_function", Category::kFunction},
    {"gpu_memcpy", Category::kCopy},     {"memcpy", Category::kCopy},
    {"gpu_memset", Category::kSet},      {"memset", Category::kSet},
    {"cuda_runtime", Category::kLaunch}, {"cuda_driver", Category::kLaunch},
    {"runtime", Category::kLaunch},      {"user_annotation", Category::kAnnotation},
};

Category CategoryOf(const std::string& text) {
  const auto is_this = [&text](const NamedCategory& known) {
    return known.name.size() == text.size() &&
           std::equal(text.begin(), text.end(), known.name.begin(), [](char given, char lower) {
             return absl::ascii_tolower(static_cast<unsigned char>(given)) == lower;
           });
  };
  const auto* const found = std::find_if(std::begin(kCategories), std::end(kCategories), is_this);
  return found == std::end(kCategories) ? Category::kNone : found->category;
}

// "12.3456" microseconds -> 12346. nullopt: no number, or one that no clock shows.
std::optional<int64_t> NanosecondsOf(std::string_view micros) {
  const bool is_negative = micros.starts_with('-');
  std::string_view rest = micros.substr(is_negative ? 1 : 0);
  uint64_t whole = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), whole);
  if (error != std::errc() || whole > static_cast<uint64_t>(kMaxTimeNs) / 1000) {
    return std::nullopt;
  }
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  auto nanoseconds = static_cast<int64_t>(whole) * 1000;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    int64_t place = 100;
    for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1)) {
      nanoseconds += place > 0 ? place * (rest[0] - '0') : place == 0 && rest[0] >= '5' ? 1 : 0;
      place = place > 1 ? place / 10 : place - 1;  // 100, 10, 1, 0 (which rounds), -1, …
    }
  }
  if (!rest.empty()) {  // an exponent; nobody writes times so
    double value = 0;
    const auto [stop, failure] = std::from_chars(micros.data(), micros.data() + micros.size(), value);
    if (failure != std::errc() || stop != micros.data() + micros.size() ||
        !(value > -static_cast<double>(kMaxTimeNs) / 1000 && value < static_cast<double>(kMaxTimeNs) / 1000)) {
      return std::nullopt;
    }
    return static_cast<int64_t>(value * 1000);
  }
  return is_negative ? -nanoseconds : nanoseconds;
}

// 0: no number that fits.
template <typename T>
T NumberOf(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : T{0};
}

// Bytes of the UTF-8 sequence that the text begins with; 0: none.
size_t SequenceBytes(std::string_view text) {
  const auto byte = [text](size_t at) { return static_cast<unsigned char>(text[at]); };
  const size_t length = byte(0) < 0x80   ? 1
                        : byte(0) < 0xc2 ? 0
                        : byte(0) < 0xe0 ? 2
                        : byte(0) < 0xf0 ? 3
                        : byte(0) < 0xf5 ? 4
                                         : 0;
  if (length > text.size()) {
    return 0;
  }
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const bool is_out_of_range = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) > 0x9f) ||
                               (byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) > 0x8f);
  return is_out_of_range ? 0 : length;
}

// Printable UTF-8 of a length that a record takes.
std::string CleanName(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = SequenceBytes(text);
    if (clean.size() + std::max<size_t>(length, 1) > record::kMaxNameBytes) {
      break;
    }
    if (length == 0) {
      clean.push_back('?');
    } else if (length == 1) {
      clean.push_back(absl::ascii_iscntrl(static_cast<unsigned char>(text[0])) ? ' ' : text[0]);
    } else {
      clean.append(text.substr(0, length));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

class Reader {
 public:
  Reader(std::FILE* file, const std::function<bool()>& is_cancelled) : json_(file), is_cancelled_(is_cancelled) {
    trace_.names.emplace_back();
  }

  absl::StatusOr<ChromeTrace> Read();

 private:
  // One event as it stands in the file. Strings keep their memory from event to event.
  struct Event {
    int64_t offset = 0;
    std::string phase, category, name, pid, tid, time, duration;
    std::string correlation, external_id, device, stream, context, bytes;

    void Clear() {
      for (std::string* text : {&phase, &category, &name, &pid, &tid, &time, &duration, &correlation, &external_id,
                                &device, &stream, &context, &bytes}) {
        text->clear();
      }
    }
  };

  absl::Status ReadEvents();
  void ReadEvent();
  bool MayHaveIds() const;
  void ReadArguments();
  std::string* MemberOf(std::string_view key);
  std::string* ArgumentOf(std::string_view key);
  void ReadText(std::string* text);
  void Keep();
  void LeaveOut(std::string_view what);
  void KeepDevice(record::Kind kind, int64_t start_ns, int64_t end_ns);
  record::NameId NameOf(std::string_view text);
  std::optional<uint16_t> ThreadOf();
  void StartAtOne();

  JsonReader json_;
  const std::function<bool()>& is_cancelled_;
  ChromeTrace trace_;
  Event event_;
  absl::flat_hash_map<std::string, record::NameId> name_by_text_;
  size_t names_bytes_ = 0;
  absl::flat_hash_map<std::string, uint16_t> thread_by_ids_;
  std::string ids_;  // of the last event's thread, and its number
  std::optional<uint16_t> thread_;
};

absl::StatusOr<ChromeTrace> Reader::Read() {
  bool has_events = false;
  if (json_.Peek() == JsonReader::Type::kArray) {
    has_events = true;
    DSOCR_RETURN_IF_ERROR(ReadEvents());
  } else if (json_.BeginObject()) {
    while (const std::optional<std::string_view> key = json_.NextKey()) {
      if (*key == "traceEvents") {
        has_events = true;
        DSOCR_RETURN_IF_ERROR(ReadEvents());
      } else {
        json_.Skip();
      }
    }
  }
  DSOCR_RETURN_IF_ERROR(json_.status());
  if (!has_events) {
    return absl::DataLossError("no 'traceEvents' in it");
  }
  StartAtOne();
  return std::move(trace_);
}

absl::Status Reader::ReadEvents() {
  if (!json_.BeginArray()) {
    return json_.status();
  }
  while (json_.NextElement()) {
    ReadEvent();
    DSOCR_RETURN_IF_ERROR(json_.status());
    if (trace_.host.size() + trace_.device.size() > kMaxTraceEvents) {
      return absl::ResourceExhaustedError(fmt::format("byte {}: more than {} events to keep; record for a shorter time",
                                                      json_.offset(), kMaxTraceEvents));
    }
    if (trace_.events % kEventsBetweenQuestions == 0 && is_cancelled_()) {
      return absl::CancelledError("cancelled while the trace was read");
    }
  }
  return json_.status();
}

std::string* Reader::MemberOf(std::string_view key) {
  return key == "ph"     ? &event_.phase
         : key == "cat"  ? &event_.category
         : key == "name" ? &event_.name
         : key == "pid"  ? &event_.pid
         : key == "tid"  ? &event_.tid
         : key == "ts"   ? &event_.time
         : key == "dur"  ? &event_.duration
                         : nullptr;
}

std::string* Reader::ArgumentOf(std::string_view key) {
  return key == "External id" || key == "external id" ? &event_.external_id
         : key == "correlation"                       ? &event_.correlation
         : key == "device"                            ? &event_.device
         : key == "stream"                            ? &event_.stream
         : key == "context"                           ? &event_.context
         : key == "bytes"                             ? &event_.bytes
                                                      : nullptr;
}

// A string or a number; of anything else nothing.
void Reader::ReadText(std::string* text) {
  switch (json_.Peek()) {
    case JsonReader::Type::kString:
      json_.ReadString(text);
      break;
    case JsonReader::Type::kScalar:
      json_.ReadScalar(text);
      break;
    default:
      json_.Skip();
  }
}

void Reader::ReadArguments() {
  json_.BeginObject();
  while (const std::optional<std::string_view> key = json_.NextKey()) {
    if (std::string* const argument = ArgumentOf(*key); argument != nullptr) {
      ReadText(argument);
    } else {
      json_.Skip();
    }
  }
}

// Of no interest are the arguments of Python's functions, which are half of a trace with stacks. Kineto writes the
// category before the arguments.
bool Reader::MayHaveIds() const { return event_.category != "python_function"; }

void Reader::ReadEvent() {
  ++trace_.events;
  event_.Clear();
  event_.offset = json_.offset();
  if (!json_.BeginObject()) {
    return;
  }
  while (const std::optional<std::string_view> key = json_.NextKey()) {
    if (std::string* const member = MemberOf(*key); member != nullptr) {
      ReadText(member);
    } else if (*key == "args" && json_.Peek() == JsonReader::Type::kObject && MayHaveIds()) {
      ReadArguments();
    } else {
      json_.Skip();
    }
  }
  if (json_.status().ok() && event_.phase == "X") {
    Keep();
  }
}

void Reader::LeaveOut(std::string_view what) {
  if (trace_.left_out++ == 0) {
    trace_.first_left_out = fmt::format("event {} (byte {}): {}", trace_.events, event_.offset, what);
  }
}

void Reader::Keep() {
  const Category category = CategoryOf(event_.category);
  const bool is_module = category == Category::kFunction && event_.name.starts_with(kModulePrefix);
  if (category == Category::kNone || (category == Category::kFunction && !is_module)) {
    return;
  }
  const std::optional<int64_t> start_ns = NanosecondsOf(event_.time);
  const std::optional<int64_t> duration_ns = NanosecondsOf(event_.duration);
  if (!start_ns.has_value() || !duration_ns.has_value() || *duration_ns < 0 || *start_ns > kMaxTimeNs - *duration_ns) {
    LeaveOut(!start_ns.has_value() ? "'ts' is no time" : "'dur' is no duration");
    return;
  }
  const int64_t end_ns = *start_ns + *duration_ns;
  switch (category) {
    case Category::kKernel:
      return KeepDevice(record::Kind::kKernel, *start_ns, end_ns);
    case Category::kCopy:
      return KeepDevice(record::Kind::kCopy, *start_ns, end_ns);
    case Category::kSet:
      return KeepDevice(record::Kind::kSet, *start_ns, end_ns);
    default:
      break;
  }
  HostEvent host{.start_ns = *start_ns, .end_ns = end_ns};
  if (const std::optional<uint16_t> thread = ThreadOf(); thread.has_value()) {
    host.thread = *thread;
  } else {
    LeaveOut(fmt::format("more than {} threads", record::kMaxThreads));
    return;
  }
  switch (category) {
    case Category::kOperator:
      host.kind = HostKind::kOperator;
      host.id = NumberOf<uint64_t>(event_.external_id);
      host.name = NameOf(event_.name);
      break;
    case Category::kLaunch:
      host.kind = HostKind::kLaunch;
      host.id = NumberOf<uint64_t>(event_.correlation);
      if (host.id == 0) {
        return;
      }
      break;
    default:
      host.kind = HostKind::kRange;
      host.is_module = is_module;
      host.name = NameOf(std::string_view(event_.name).substr(is_module ? kModulePrefix.size() : 0));
      if (host.name == 0) {
        LeaveOut("no name, or too many different ones");
        return;
      }
  }
  trace_.host.push_back(host);
}

void Reader::KeepDevice(record::Kind kind, int64_t start_ns, int64_t end_ns) {
  trace_.device.push_back({.start_ns = start_ns,
                           .end_ns = end_ns,
                           .correlation = NumberOf<uint64_t>(event_.correlation),
                           .external_id = NumberOf<uint64_t>(event_.external_id),
                           .bytes = NumberOf<uint64_t>(event_.bytes),
                           .name = NameOf(event_.name),
                           .stream = NumberOf<uint32_t>(event_.stream.empty() ? event_.tid : event_.stream),
                           .context = NumberOf<uint32_t>(event_.context),
                           .device = NumberOf<uint16_t>(event_.device.empty() ? event_.pid : event_.device),
                           .kind = kind});
}

// 0: it has none, or there are more than records can name.
record::NameId Reader::NameOf(std::string_view text) {
  if (const auto known = name_by_text_.find(absl::string_view(text.data(), text.size()));
      known != name_by_text_.end()) {
    return known->second;
  }
  std::string clean = CleanName(text);
  if (clean.empty() || trace_.names.size() == record::kMaxNames || names_bytes_ + text.size() > kMaxNamesBytes) {
    return 0;
  }
  names_bytes_ += text.size();
  const auto name = static_cast<record::NameId>(trace_.names.size());
  trace_.names.push_back(std::move(clean));
  name_by_text_.emplace(text, name);
  return name;
}

std::optional<uint16_t> Reader::ThreadOf() {
  std::string& tid = event_.tid;
  if (ids_.size() == event_.pid.size() + 1 + tid.size() && ids_.compare(0, event_.pid.size(), event_.pid) == 0 &&
      ids_[event_.pid.size()] == '/' && ids_.compare(event_.pid.size() + 1, std::string::npos, tid) == 0) {
    return thread_;
  }
  ids_ = event_.pid + '/' + tid;
  thread_.reset();
  if (const auto known = thread_by_ids_.find(ids_); known != thread_by_ids_.end()) {
    thread_ = known->second;
  } else if (trace_.thread_ids.size() < record::kMaxThreads) {
    thread_ = static_cast<uint16_t>(trace_.thread_ids.size());
    trace_.thread_ids.push_back(NumberOf<uint32_t>(tid));
    thread_by_ids_.emplace(ids_, *thread_);
  }
  return thread_;
}

void Reader::StartAtOne() {
  int64_t first_ns = std::numeric_limits<int64_t>::max();
  const auto shift = [&first_ns](auto& events) {
    for (auto& event : events) {
      event.start_ns -= first_ns - 1;
      event.end_ns -= first_ns - 1;
    }
  };
  for (const HostEvent& event : trace_.host) {
    first_ns = std::min(first_ns, event.start_ns);
  }
  for (const DeviceEvent& event : trace_.device) {
    first_ns = std::min(first_ns, event.start_ns);
  }
  shift(trace_.host);
  shift(trace_.device);
}

}  // namespace

absl::StatusOr<ChromeTrace> ReadChromeTrace(std::FILE* file, const std::function<bool()>& is_cancelled) {
  return Reader(file, is_cancelled).Read();
}

}  // namespace dsocr::attach
