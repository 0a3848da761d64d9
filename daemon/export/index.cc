#include "daemon/export/index.h"

#include "google/protobuf/descriptor.h"
#include "proto/document.h"

namespace dsocr::exporter {
namespace {

std::string Word(const google::protobuf::EnumDescriptor* type, int number) {
  const google::protobuf::EnumValueDescriptor* value = type->FindValueByNumber(number);
  return value != nullptr ? document::EnumWord(*value) : "unspecified";
}

}  // namespace

ReportIndex::ReportIndex(const v1::AnalyticModelReport& report) {
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    entries_[node.module_id()].node = &node;
  }
  for (const v1::ModuleMetricsSnapshot& metrics : report.module_metrics()) {
    entries_[metrics.module_id()].metrics = &metrics;
  }
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    entries_[measurement.module_id()].measurement = &measurement;
  }
}

ReportIndex::Entry ReportIndex::Find(const std::string& module_id) const {
  const auto found = entries_.find(module_id);
  return found != entries_.end() ? found->second : Entry();
}

const v1::AnalyticModuleNode* ReportIndex::node(const std::string& module_id) const { return Find(module_id).node; }
const v1::ModuleMetricsSnapshot* ReportIndex::metrics(const std::string& module_id) const {
  return Find(module_id).metrics;
}
const v1::ModuleMeasurement* ReportIndex::measurement(const std::string& module_id) const {
  return Find(module_id).measurement;
}

std::string StageWord(v1::Stage stage) { return Word(v1::Stage_descriptor(), stage); }
std::string RepetitionWord(v1::Repetition repetition) { return Word(v1::Repetition_descriptor(), repetition); }
std::string BoundWord(v1::Bound bound) { return Word(v1::Bound_descriptor(), bound); }
std::string RouteWord(v1::Route route) { return Word(v1::Route_descriptor(), route); }

}  // namespace dsocr::exporter
