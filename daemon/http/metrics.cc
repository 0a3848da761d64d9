#include "daemon/http/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <functional>
#include <vector>

#include "fmt/format.h"

namespace dsocr::http {
namespace {

double ProcessorSeconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::ToDoubleSeconds(absl::DurationFromTimespec(used));
}

int64_t ResidentBytes() {
  int64_t all_pages = 0;
  int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> all_pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

// Backslash, quote and line feed are what the format escapes.
std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\n') {
      escaped += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

std::string Heading(std::string_view name, std::string_view type, std::string_view help) {
  return fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

using Samples = std::map<std::string, double>;  // by labels in braces; "" for none

struct Metric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  std::function<Samples(const Figures&)> samples;
};

// One sample for each key of a map, which becomes the value of `label`.
auto Labelled(std::string_view label, std::map<std::string, int64_t> Figures::*counts) {
  return [label, counts](const Figures& figures) {
    Samples samples;
    for (const auto& [key, count] : figures.*counts) {
      samples.emplace(fmt::format("{{{}=\"{}\"}}", label, Escape(key)), count);
    }
    return samples;
  };
}

template <typename Value>
auto Plain(Value Figures::*value) {
  return [value](const Figures& figures) { return Samples{{"", static_cast<double>(figures.*value)}}; };
}

const std::vector<Metric>& Metrics() {
  static const auto& metrics = *new std::vector<Metric>{
      {"dsocrd_build_info", "gauge", "1, labelled with the version of the program.",
       [](const Figures& figures) {
         return Samples{{fmt::format("{{version=\"{}\"}}", Escape(figures.version)), 1}};
       }},
      {"dsocrd_uptime_seconds", "gauge", "Time since the start.", Plain(&Figures::uptime_s)},
      {"dsocrd_reports", "gauge", "Reports in the store.", Plain(&Figures::reports)},
      {"dsocrd_runs_active", "gauge", "Runs and launches that wait or go on.", Plain(&Figures::runs_active)},
      {"dsocrd_runs_finished_total", "counter", "Runs and launches that ended since the start, by final state.",
       Labelled("state", &Figures::runs_finished)},
      {"dsocrd_records_received_total", "counter", "Records of the agents whose session has ended.",
       Plain(&Figures::records_received)},
      {"dsocrd_records_dropped_total", "counter", "Records that the agents could not deliver.",
       Plain(&Figures::records_dropped)},
      {"dsocrd_records_invalid_total", "counter", "Records that made no sense and were left out.",
       Plain(&Figures::records_invalid)},
      {"dsocrd_operations_launched_total", "counter", "GPU operations that jobs launched, where launches were counted.",
       Plain(&Figures::operations_launched)},
      {"dsocrd_operations_recorded_total", "counter", "GPU operations whose record arrived.",
       Plain(&Figures::operations_recorded)},
      {"dsocrd_operations_dropped_total", "counter", "GPU operations whose record is known to be lost.",
       Plain(&Figures::operations_dropped)},
      {"dsocrd_operations_invalid_total", "counter", "GPU operations whose record made no sense.",
       Plain(&Figures::operations_invalid)},
      {"dsocrd_operations_pending_total", "counter", "GPU operations that were launched and never heard of.",
       Plain(&Figures::operations_pending)},
      {"dsocrd_incidents_total", "counter", "What went wrong in recording, by code.",
       Labelled("code", &Figures::incidents)},
      {"dsocrd_http_connections", "gauge", "Open HTTP connections.", Plain(&Figures::http_connections)},
      {"dsocrd_http_connections_refused_total", "counter", "HTTP connections closed because too many were open.",
       Plain(&Figures::http_connections_refused)},
      {"process_resident_memory_bytes", "gauge", "Resident memory of the daemon.",
       [](const Figures&) {
         return Samples{{"", ResidentBytes()}};
       }},
      {"process_cpu_seconds_total", "counter", "Processor time of the daemon, all threads.",
       [](const Figures&) {
         return Samples{{"", ProcessorSeconds()}};
       }},
  };
  return metrics;
}

}  // namespace

void CallLog::Add(std::string_view transport, std::string_view method, std::string_view code, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const auto bucket = std::lower_bound(kBuckets.begin(), kBuckets.end(), seconds) - kBuckets.begin();
  absl::MutexLock lock(&mutex_);
  Calls& calls = calls_[fmt::format("transport=\"{}\",method=\"{}\"", Escape(transport), Escape(method))];
  ++calls.by_code[std::string(code)];
  ++calls.by_bucket[static_cast<size_t>(bucket)];
  calls.seconds += seconds;
}

std::string CallLog::Text() const {
  absl::MutexLock lock(&mutex_);
  std::string text = Heading("dsocrd_calls_total", "counter", "Calls that ended, by transport, method and outcome.");
  for (const auto& [labels, calls] : calls_) {
    for (const auto& [code, count] : calls.by_code) {
      text += fmt::format("dsocrd_calls_total{{{},code=\"{}\"}} {}\n", labels, Escape(code), count);
    }
  }
  constexpr std::string_view kName = "dsocrd_call_duration_seconds";
  text += Heading(kName, "histogram", "How long calls took; of a stream, until its end.");
  for (const auto& [labels, calls] : calls_) {
    int64_t count = 0;
    for (size_t i = 0; i < kBuckets.size(); ++i) {
      count += calls.by_bucket[i];
      text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", kName, labels, kBuckets[i], count);
    }
    count += calls.by_bucket.back();
    text += fmt::format("{}_bucket{{{},le=\"+Inf\"}} {}\n", kName, labels, count);
    text += fmt::format("{}_sum{{{}}} {}\n", kName, labels, calls.seconds);
    text += fmt::format("{}_count{{{}}} {}\n", kName, labels, count);
  }
  return text;
}

std::string MetricsText(const Figures& figures, const CallLog& calls) {
  std::string text;
  for (const Metric& metric : Metrics()) {
    text += Heading(metric.name, metric.type, metric.help);
    for (const auto& [labels, value] : metric.samples(figures)) {
      text += fmt::format("{}{} {}\n", metric.name, labels, value);
    }
  }
  return text + calls.Text();
}

}  // namespace dsocr::http
