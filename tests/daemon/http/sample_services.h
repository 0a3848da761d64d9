// Services and names for the endpoints, without a daemon.
#ifndef DSOCR_TESTS_DAEMON_HTTP_SAMPLE_SERVICES_H_
#define DSOCR_TESTS_DAEMON_HTTP_SAMPLE_SERVICES_H_

#include <string>

#include "absl/status/status.h"
#include "daemon/http/api.h"

namespace dsocr::http {

inline Vocabulary SampleVocabulary() {
  return {.model_ids = {"deepseek-ai/DeepSeek-OCR"},
          .model_variants = {"deepseek-ocr-v1-base"},
          .workloads = {"dsocr-standard-v1", "dsocr-tiny-v1"},
          .devices = {"cpu", "auto", "h200-sxm"},
          .dtypes = {"fp32", "bf16"}};
}

// There is one report, "r-1"; every run makes it.
inline Services SampleServices() {
  return {.run_analytic =
              [](const v1::DeepSeekOCRAnalyticRequest&) {
                v1::DeepSeekOCRAnalyticAccepted accepted;
                accepted.set_report_id("r-1");
                accepted.set_status(v1::REPORT_STATUS_RUNNING);
                return accepted;
              },
          .summary = [](const std::string& id) -> absl::StatusOr<v1::DeepSeekOCRAnalyticReportSummary> {
            if (id != "r-1") {
              return absl::NotFoundError("no report '" + id + "': not in the store");
            }
            v1::DeepSeekOCRAnalyticReportSummary summary;
            summary.set_report_id(id);
            return summary;
          },
          .model = [](const std::string& id) -> absl::StatusOr<v1::DeepSeekOCRAnalyticModel> {
            v1::DeepSeekOCRAnalyticModel model;
            model.set_report_id(id);
            return model;
          },
          .health = [] { return absl::OkStatus(); },
          .figures = [] { return Figures{.version = "1.2.3", .reports = 4}; }};
}

}  // namespace dsocr::http

#endif  // DSOCR_TESTS_DAEMON_HTTP_SAMPLE_SERVICES_H_
