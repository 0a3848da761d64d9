// A report as a person asks about it: modules joined with their figures, stages, the modules and categories with most
// time.
#ifndef DSOCR_CLIENT_RENDER_REPORT_VIEW_H_
#define DSOCR_CLIENT_RENDER_REPORT_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "dsocr/v1/report.pb.h"

namespace dsocr::client {

// One line of a table. Absent where nothing was predicted or measured.
struct Figures {
  std::string label;
  std::optional<double> predicted_ms;
  std::optional<double> measured_ms;  // busy + gap: the span that the prediction predicts
  std::optional<int64_t> calls;
  std::optional<double> interval_90_share;  // how far the 90 % interval reaches from the prediction, on its wider side
  v1::Bound bound = v1::BOUND_UNSPECIFIED;

  std::optional<double> Ratio() const;  // predicted / measured, where both are more than nothing
};

// The report must outlive the view.
class ReportView {
 public:
  explicit ReportView(const v1::AnalyticModelReport& report);

  bool is_measured() const { return report_.has_measured_total_time_ms(); }
  const v1::AnalyticModelReport& report() const { return report_; }

  Figures Total() const;
  Figures OfModule(const v1::AnalyticModuleNode& node) const;

  // The root's children, vision's children in place of vision: sam, clip, projector, prefill, decode. Then what is in
  // none of them.
  std::vector<Figures> Stages() const;

  // The `count` modules without children that take most time (measured, else predicted), then all the rest as one line.
  std::vector<Figures> TopModules(size_t count) const;

  // The root's operator categories by time, then unattributed and idle time.
  std::vector<Figures> Categories() const;

  // What of the measured total neither the root's operations nor unattributed ones took; to the nanosecond. The root's
  // gap is not it: there, what no module owns is a gap, and what lies outside of its calls is none.
  double IdleMs() const;

  // The root's measurement; null where there is none.
  const v1::ModuleMeasurement* RootMeasurement() const;

 private:
  const v1::AnalyticModuleNode* Root() const;
  // What `parts` leave of the total; appended unless it rounds to nothing.
  void AppendRest(const std::string& label, std::vector<Figures>* parts) const;

  const v1::AnalyticModelReport& report_;
  std::unordered_map<std::string, const v1::AnalyticModuleNode*> nodes_;
  std::unordered_map<std::string, const v1::ModuleMetricsSnapshot*> metrics_;
  std::unordered_map<std::string, const v1::ModuleMeasurement*> measurements_;
};

// Vision's children are "sam" and "clip"; every other stage is its module id.
std::string StageLabel(const v1::AnalyticModuleNode& node);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_REPORT_VIEW_H_
