// A report by module id, and its enums by their word.
#ifndef DSOCR_DAEMON_EXPORT_INDEX_H_
#define DSOCR_DAEMON_EXPORT_INDEX_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

// Borrows the report, which must not change meanwhile.
class ReportIndex {
 public:
  explicit ReportIndex(const v1::AnalyticModelReport& report);

  // Null where there is none of this id.
  const v1::AnalyticModuleNode* node(const std::string& module_id) const;
  const v1::ModuleMetricsSnapshot* metrics(const std::string& module_id) const;
  const v1::ModuleMeasurement* measurement(const std::string& module_id) const;

 private:
  struct Entry {
    const v1::AnalyticModuleNode* node = nullptr;
    const v1::ModuleMetricsSnapshot* metrics = nullptr;
    const v1::ModuleMeasurement* measurement = nullptr;
  };
  Entry Find(const std::string& module_id) const;

  absl::flat_hash_map<std::string, Entry> entries_;
};

std::string StageWord(v1::Stage stage);
std::string RepetitionWord(v1::Repetition repetition);
std::string BoundWord(v1::Bound bound);
std::string RouteWord(v1::Route route);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_INDEX_H_
