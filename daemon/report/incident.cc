#include "daemon/report/incident.h"

#include <iterator>
#include <string>

#include "daemon/report/measured.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using record::IncidentCode;

constexpr size_t kLongestName = 60;

struct Words {
  IncidentCode code;
  std::string_view word;
  std::string (*text)(const std::string& name, int64_t value);
};

constexpr Words kWords[] = {
    {IncidentCode::kSubscriberRefused, "subscriber_refused",
     [](const std::string& name, int64_t) {
       return fmt::format(
           "{} holds CUPTI's only subscription: launches were not counted, graphs not seen captured; run without it",
           name.empty() ? "another tool" : fmt::format("'{}'", name));
     }},
    {IncidentCode::kEnableRefused, "enable_refused",
     [](const std::string&, int64_t value) {
       return fmt::format("CUPTI refused to record activity kind {}: no GPU operation was recorded", value);
     }},
    {IncidentCode::kStalled, "stalled",
     [](const std::string&, int64_t value) {
       return fmt::format(
           "records stopped: {} launches without one when it was noticed; what is missing is pending or dropped",
           value);
     }},
    {IncidentCode::kRecovered, "recovered",
     [](const std::string&, int64_t value) {
       return fmt::format("records came again {} ms after the stall was noticed", value);
     }},
    {IncidentCode::kFlushStuck, "flush_stuck",
     [](const std::string&, int64_t value) {
       return fmt::format("a flush had not returned after {} ms: what it held is pending", value);
     }},
    {IncidentCode::kClockJumped, "clock_jumped",
     [](const std::string&, int64_t value) {
       return fmt::format("the wall clock, which is CUPTI's, was set by {:+.3f} ms: later records go by its new offset",
                          Milliseconds(value));
     }},
    {IncidentCode::kUnknownKind, "unknown_kind",
     [](const std::string&, int64_t value) {
       return fmt::format("records of activity kind {} were not read: this agent does not know it", value);
     }},
    {IncidentCode::kUnknownVersion, "unknown_version",
     [](const std::string&, int64_t value) {
       return fmt::format("records of {} bytes have a layout that this agent does not know: operations are invalid",
                          value);
     }},
    {IncidentCode::kTruncated, "truncated",
     [](const std::string&, int64_t value) {
       return fmt::format("{} bytes at a buffer's end are no whole record and were not read", value);
     }},
    {IncidentCode::kDuplicate, "duplicate",
     [](const std::string&, int64_t value) {
       return fmt::format("correlation id {} has more records than launches: what came twice was left out", value);
     }},
    {IncidentCode::kNoBuffer, "no_buffer",
     [](const std::string&, int64_t) {
       return std::string("all buffers were full: what CUPTI had meanwhile was thrown away and is dropped");
     }},
    {IncidentCode::kNoLibrary, "no_library",
     [](const std::string&, int64_t value) {
       return value == 0
                  ? std::string("the job has no libcupti: no GPU operation was recorded; install CUDA 12's or 13's")
                  : fmt::format(
                        "the job's libcupti is of CUDA {}, which this agent does not know: no GPU "
                        "operation was recorded",
                        value);
     }},
    {IncidentCode::kMostlyInvalid, "mostly_invalid",
     [](const std::string&, int64_t value) {
       return fmt::format("{} records of a second made no sense, more than did: CUPTI was restarted, they are invalid",
                          value);
     }},
};
static_assert(std::size(kWords) == record::kLastIncidentCode);

const Words* Find(IncidentCode code) {
  for (const Words& words : kWords) {
    if (words.code == code) {
      return &words;
    }
  }
  return nullptr;
}

}  // namespace

std::string_view IncidentWord(IncidentCode code) {
  const Words* words = Find(code);
  return words != nullptr ? words->word : "unknown";
}

v1::Incident IncidentOf(const attribution::Incident& incident) {
  const Words* words = Find(incident.code);
  v1::Incident result;
  result.set_code(std::string(IncidentWord(incident.code)));
  result.set_text(words != nullptr ? words->text(Sanitized(incident.name, kLongestName), incident.value)
                                   : "the agent reports what this daemon does not know; update dsocrd");
  result.set_count(incident.count);
  return result;
}

}  // namespace dsocr::report
