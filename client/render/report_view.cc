#include "client/render/report_view.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr char kVision[] = "vision";
constexpr double kShownShare = 5e-4;     // of the total: smaller than this prints as 0.0 %
constexpr double kRoundingShare = 1e-9;  // of the total: what adding up the parts may be off by

// Measured times are whole nanoseconds.
int64_t Nanoseconds(double ms) { return std::llround(ms * 1e6); }

double Weight(const Figures& figures) { return figures.measured_ms.value_or(figures.predicted_ms.value_or(0)); }

void SortByTime(std::vector<Figures>* figures) {
  std::stable_sort(figures->begin(), figures->end(),
                   [](const Figures& a, const Figures& b) { return Weight(a) > Weight(b); });
}

// What the parts leave of the total, if they leave anything.
std::optional<double> Minus(std::optional<double> total, double parts) {
  return total && *total - parts > kRoundingShare * *total ? std::optional(*total - parts) : std::nullopt;
}

template <typename Map>
auto FindOrNull(const Map& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : found->second;
}

std::optional<double> ReachOf(const google::protobuf::RepeatedField<double>& interval, double time_ms) {
  return interval.size() == 2 && time_ms > 0
             ? std::optional(std::max(time_ms - interval[0], interval[1] - time_ms) / time_ms)
             : std::nullopt;
}

}  // namespace

std::optional<double> Figures::Ratio() const {
  const bool has_both = predicted_ms.value_or(0) > 0 && measured_ms.value_or(0) > 0;
  return has_both ? std::optional(*predicted_ms / *measured_ms) : std::nullopt;
}

std::string StageLabel(const v1::AnalyticModuleNode& node) {
  const std::string prefix = std::string(kVision) + "/";
  return node.module_id().starts_with(prefix) ? node.module_id().substr(prefix.size()) : node.module_id();
}

ReportView::ReportView(const v1::AnalyticModelReport& report) : report_(report) {
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    nodes_.emplace(node.module_id(), &node);
  }
  for (const v1::ModuleMetricsSnapshot& metrics : report.module_metrics()) {
    metrics_.emplace(metrics.module_id(), &metrics);
  }
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    measurements_.emplace(measurement.module_id(), &measurement);
  }
}

const v1::AnalyticModuleNode* ReportView::Root() const {
  const auto root = std::find_if(report_.modules().begin(), report_.modules().end(),
                                 [](const v1::AnalyticModuleNode& node) { return !node.has_parent_id(); });
  return root == report_.modules().end() ? nullptr : &*root;
}

const v1::ModuleMeasurement* ReportView::RootMeasurement() const {
  return Root() == nullptr ? nullptr : FindOrNull(measurements_, Root()->module_id());
}

double ReportView::IdleMs() const {
  const v1::ModuleMeasurement* root = RootMeasurement();
  const int64_t idle_ns = Nanoseconds(report_.measured_total_time_ms()) -
                          Nanoseconds(root == nullptr ? 0 : root->busy_time_ms()) -
                          Nanoseconds(report_.attribution().unattributed_device_time_ms());
  return static_cast<double>(std::max<int64_t>(0, idle_ns)) / 1e6;  // operations of several threads or streams overlap
}

Figures ReportView::Total() const {
  Figures total{.label = "total"};
  if (Root() != nullptr) {
    total = OfModule(*Root());
    total.label = "total";
  }
  total.predicted_ms =
      report_.has_predicted_total_time_ms() ? std::optional(report_.predicted_total_time_ms()) : std::nullopt;
  total.measured_ms =
      report_.has_measured_total_time_ms() ? std::optional(report_.measured_total_time_ms()) : std::nullopt;
  return total;
}

Figures ReportView::OfModule(const v1::AnalyticModuleNode& node) const {
  Figures figures{.label = node.module_id()};
  if (const v1::ModuleMetricsSnapshot* metrics = FindOrNull(metrics_, node.module_id())) {
    figures.predicted_ms = metrics->total_time_ms();
    figures.calls = metrics->calls();
    figures.bound = metrics->bound();
    figures.interval_90_share = ReachOf(metrics->interval_90_ms(), metrics->total_time_ms());
  }
  if (const v1::ModuleMeasurement* measured = FindOrNull(measurements_, node.module_id())) {
    figures.measured_ms = measured->busy_time_ms() + measured->gap_time_ms();
    figures.calls = measured->calls();
    figures.bound = measured->bound();
  }
  return figures;
}

void ReportView::AppendRest(const std::string& label, std::vector<Figures>* parts) const {
  double predicted = 0;
  double measured = 0;
  for (const Figures& part : *parts) {
    predicted += part.predicted_ms.value_or(0);
    measured += part.measured_ms.value_or(0);
  }
  const Figures total = Total();
  Figures rest{.label = label,
               .predicted_ms = Minus(total.predicted_ms, predicted),
               .measured_ms = Minus(total.measured_ms, measured)};
  if (rest.predicted_ms.value_or(0) > kShownShare * total.predicted_ms.value_or(0) ||
      rest.measured_ms.value_or(0) > kShownShare * total.measured_ms.value_or(0)) {
    parts->push_back(std::move(rest));
  }
}

std::vector<Figures> ReportView::Stages() const {
  std::vector<Figures> stages;
  const auto add = [&](const v1::AnalyticModuleNode& node) {
    stages.push_back(OfModule(node));
    stages.back().label = StageLabel(node);
  };
  if (Root() == nullptr) {
    return stages;
  }
  for (const std::string& id : Root()->children()) {
    const v1::AnalyticModuleNode* stage = FindOrNull(nodes_, id);
    if (stage == nullptr) {
      continue;
    }
    if (id != kVision || stage->children().empty()) {
      add(*stage);
      continue;
    }
    for (const std::string& child : stage->children()) {
      if (const v1::AnalyticModuleNode* node = FindOrNull(nodes_, child)) {
        add(*node);
      }
    }
  }
  AppendRest("[between stages]", &stages);
  return stages;
}

std::vector<Figures> ReportView::TopModules(size_t count) const {
  std::vector<Figures> leaves;
  for (const v1::AnalyticModuleNode& node : report_.modules()) {
    if (node.children().empty()) {
      leaves.push_back(OfModule(node));
    }
  }
  SortByTime(&leaves);
  const size_t shown = std::min(count, leaves.size());
  const size_t others = leaves.size() - shown;
  leaves.resize(shown);
  const bool has_unattributed = report_.attribution().unattributed_device_time_ms() > 0;
  const std::string label = fmt::format("[{} other modules{}]", others,
                                        !is_measured()     ? ""
                                        : has_unattributed ? ", unattributed, idle"
                                                           : " and idle");
  AppendRest(others == 0 ? "[between modules]" : label, &leaves);
  return leaves;
}

std::vector<Figures> ReportView::Categories() const {
  std::vector<Figures> categories;
  std::unordered_map<std::string, size_t> index;
  const auto at = [&](const std::string& id) -> Figures& {
    const auto [found, is_new] = index.emplace(id, categories.size());
    if (is_new) {
      categories.push_back({.label = id});
    }
    return categories[found->second];
  };
  if (Root() == nullptr) {
    return categories;
  }
  if (const v1::ModuleMetricsSnapshot* metrics = FindOrNull(metrics_, Root()->module_id())) {
    for (const v1::OperatorMetrics& part : metrics->operator_breakdown()) {
      at(part.category_id()).predicted_ms = part.time_ms();
      at(part.category_id()).calls = part.calls();
      at(part.category_id()).interval_90_share = ReachOf(part.interval_90_ms(), part.time_ms());
    }
  }
  if (const v1::ModuleMeasurement* measured = RootMeasurement()) {
    for (const v1::MeasuredOperator& part : measured->operator_breakdown()) {
      at(part.category_id()).measured_ms = part.device_time_ms();
      at(part.category_id()).calls = part.calls();
    }
  }
  std::erase_if(categories, [](const Figures& c) { return Weight(c) == 0 && c.predicted_ms.value_or(0) == 0; });
  SortByTime(&categories);
  if (is_measured() && report_.attribution().unattributed_device_time_ms() > 0) {
    categories.push_back(
        {.label = "[unattributed]", .measured_ms = report_.attribution().unattributed_device_time_ms()});
  }
  AppendRest(is_measured() ? "[idle]" : "[between operators]", &categories);
  return categories;
}

}  // namespace dsocr::client
