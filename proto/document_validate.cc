#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/numeric/int128.h"
#include "fmt/format.h"
#include "proto/document.h"
#include "proto/document_text.h"

namespace dsocr::document {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxProblems = 1000;
constexpr double kMaxShare = 1.5;        // contracts section 1
constexpr double kShareRounding = 1e-9;  // a sum of rounded parts may pass 1 by this much and is no drift
constexpr std::string_view kDriftNote = "estimator drift";  // what notes must say where a share is above 1

class Validator {
 public:
  explicit Validator(const v1::AnalyticModelReport& report) : report_(report) {}

  std::vector<v1::CheckProblem> Run() && {
    CheckRequired();
    CheckFields(report_, "");
    if (has_drift_ && report_.notes().find(kDriftNote) == std::string::npos) {
      Add("notes", QuoteBriefly(report_.notes()),
          fmt::format("a share is above 1, and the notes do not say '{}'", kDriftNote));
    }
    CheckPaths();
    CheckTree();
    CheckCategories();
    CheckMetrics();
    CheckMeasurements();
    CheckCapture();
    CheckResidual();
    return std::move(problems_);
  }

 private:
  void Add(std::string path, std::string value, std::string reason) {
    if (problems_.size() >= kMaxProblems) {
      return;
    }
    v1::CheckProblem problem;
    problem.set_path(std::move(path));
    problem.set_value(std::move(value));
    problem.set_reason(std::move(reason));
    problems_.push_back(std::move(problem));
  }

  void CheckRequired() {
    CheckNotEmpty("report_id", report_.report_id());
    if (report_.has_workload()) {
      CheckNotEmpty("workload.profile_id", report_.workload().profile_id());
    }
    if (!report_.has_provenance()) {
      Add("provenance", "null", "must be there");
    }
    if (report_.has_model() != report_.has_workload()) {
      Add(report_.has_model() ? "workload" : "model", "null", "model and workload are there together, or neither is");
    }
  }

  void CheckNotEmpty(std::string_view path, const std::string& id) {
    if (id.empty()) {
      Add(std::string(path), "\"\"", "must not be empty");
    }
  }

  // What holds for every field by its type and name: numbers finite and not negative, shares in bounds, enums known.
  void CheckFields(const Message& message, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const std::string name = path.empty() ? field->name() : path + "." + field->name();
      if (field->is_map()) {
        CheckParams(message, field, name);
      } else if (field->is_repeated()) {
        for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
          CheckElement(message, field, i, fmt::format("{}[{}]", name, i));
        }
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        CheckFields(reflection.GetMessage(message, field), name);
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
        CheckNumber(*field, name, reflection.GetDouble(message, field));
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
        CheckInteger(*field, name, reflection.GetInt64(message, field));
      }
    }
    CheckEnums(message, path);
  }

  void CheckElement(const Message& message, const FieldDescriptor* field, int i, const std::string& name) {
    const Reflection& reflection = *message.GetReflection();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CheckFields(reflection.GetRepeatedMessage(message, field, i), name);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
      CheckInteger(*field, name, reflection.GetRepeatedInt64(message, field, i));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
      CheckNumber(*field, name, reflection.GetRepeatedDouble(message, field, i));
    }
  }

  // Constructor parameters may be negative (a padding index of -1) but not infinite.
  void CheckParams(const Message& message, const FieldDescriptor* field, const std::string& name) {
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, field, i);
      const Descriptor& type = *entry.GetDescriptor();
      const auto& value =
          static_cast<const v1::ParamValue&>(entry.GetReflection()->GetMessage(entry, type.map_value()));
      const std::string key = entry.GetReflection()->GetString(entry, type.map_key());
      if (value.value_case() == v1::ParamValue::VALUE_NOT_SET) {
        Add(name + "." + PathStep(key), "null", "expected a number, a string or a boolean");
      } else if (value.has_float_value() && !std::isfinite(value.float_value())) {
        Add(name + "." + PathStep(key), fmt::format("{}", value.float_value()), "must be finite");
      }
    }
  }

  void CheckNumber(const FieldDescriptor& field, const std::string& path, double value) {
    if (!std::isfinite(value)) {
      return Add(path, fmt::format("{}", value), "must be finite");
    }
    if (value < 0 && field.name() != "residual_ms") {
      return Add(path, FormatDouble(value), "must not be negative");
    }
    if ((field.name() == "budget_share" || field.name() == "inferred_confidence") && value > 1) {
      return Add(path, FormatDouble(value), "must be in [0, 1]");
    }
    const bool is_share = field.name().starts_with("share_of_") || field.name().ends_with("_share");
    if (is_share && value > kMaxShare) {
      return Add(path, FormatDouble(value), fmt::format("a share must be in [0, {}]", kMaxShare));
    }
    has_drift_ |= is_share && value > 1 + kShareRounding;
  }

  void CheckInteger(const FieldDescriptor& field, const std::string& path, int64_t value) {
    if (value < 0 && field.name() != "random_seed") {
      Add(path, fmt::format("{}", value), "must not be negative");
    }
  }

  void CheckEnums(const Message& message, const std::string& path) {
    const Descriptor& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor* field = type.field(i);
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM || field->is_repeated()) {
        continue;
      }
      const int number = message.GetReflection()->GetEnumValue(message, field);
      const EnumValueDescriptor* value = field->enum_type()->FindValueByNumber(number);
      if (value == nullptr || number == 0) {
        Add(path.empty() ? field->name() : path + "." + field->name(),
            value == nullptr ? fmt::format("{}", number) : EnumWord(*value), "not a value of this enumeration");
      }
    }
  }

  void CheckAbsolute(std::string path, const std::string& value) {
    if (!value.starts_with('/')) {
      Add(std::move(path), QuoteBriefly(value), "must be an absolute path");
    }
  }

  void CheckPaths() {
    if (report_.has_model()) {
      CheckAbsolute("model.config_path", report_.model().config_path());
    }
    if (report_.has_model() || !report_.layer_docs_dir().empty()) {  // an unrecognised job has no layer pages
      CheckAbsolute("layer_docs_dir", report_.layer_docs_dir());
    }
    if (report_.provenance().weights().has_path()) {
      CheckAbsolute("provenance.weights.path", report_.provenance().weights().path());
    }
  }

  // One rooted tree in which parent_id and children agree. With unique ids and one parent each, a node that the root
  // does not reach is on a cycle or below one.
  void CheckTree() {
    for (int i = 0; i < report_.modules_size(); ++i) {
      const std::string& id = report_.modules(i).module_id();
      if (id.empty()) {
        Add(fmt::format("modules[{}].module_id", i), "\"\"", "must not be empty");
      } else if (!modules_.emplace(id, i).second) {
        Add(fmt::format("modules[{}].module_id", i), QuoteBriefly(id), "this module_id stands twice");
      }
    }
    int root = -1;
    for (int i = 0; i < report_.modules_size(); ++i) {
      CheckParent(i, &root);
      CheckChildren(i);
    }
    if (root < 0) {
      if (report_.modules_size() > 0 || report_.has_model()) {
        Add("modules", fmt::format("{} nodes", report_.modules_size()), "there is no root, a node without parent_id");
      }
      return;
    }
    CheckReachable(root);
  }

  void CheckParent(int i, int* root) {
    const v1::AnalyticModuleNode& node = report_.modules(i);
    const std::string path = fmt::format("modules[{}].parent_id", i);
    if (!node.has_parent_id()) {
      if (*root >= 0) {
        Add(path, "null", fmt::format("{} is the root already", QuoteBriefly(report_.modules(*root).module_id())));
      } else {
        *root = i;
      }
      return;
    }
    const auto parent = modules_.find(node.parent_id());
    if (parent == modules_.end()) {
      Add(path, QuoteBriefly(node.parent_id()), "no module has this id");
    }
  }

  void CheckChildren(int i) {
    const v1::AnalyticModuleNode& node = report_.modules(i);
    for (int c = 0; c < node.children_size(); ++c) {
      const std::string& id = node.children(c);
      const std::string path = fmt::format("modules[{}].children[{}]", i, c);
      const auto child = modules_.find(id);
      if (child == modules_.end()) {
        Add(path, QuoteBriefly(id), "no module has this id");
      } else if (report_.modules(child->second).parent_id() != node.module_id()) {
        Add(path, QuoteBriefly(id),
            fmt::format("its parent_id is {}", QuoteBriefly(report_.modules(child->second).parent_id())));
      } else if (!listed_.insert(id).second) {
        Add(path, QuoteBriefly(id), "this child stands twice");
      }
    }
  }

  void CheckInterval(const google::protobuf::RepeatedField<double>& interval, const std::string& path) {
    if (!interval.empty() && (interval.size() != 2 || interval[0] > interval[1])) {
      Add(path, fmt::format("[{}]", interval.size()), "must be [low, high], or empty");
    }
  }

  void CheckReachable(int root) {
    std::vector<bool> is_reached(report_.modules_size());
    std::vector<int> open = {root};
    is_reached[root] = true;
    while (!open.empty()) {
      const v1::AnalyticModuleNode& node = report_.modules(open.back());
      open.pop_back();
      for (const std::string& id : node.children()) {
        const auto child = modules_.find(id);
        if (child != modules_.end() && !is_reached[child->second] &&
            report_.modules(child->second).parent_id() == node.module_id()) {
          is_reached[child->second] = true;
          open.push_back(child->second);
        }
      }
    }
    for (int i = 0; i < report_.modules_size(); ++i) {
      if (!is_reached[i] && report_.modules(i).has_parent_id()) {
        Add(fmt::format("modules[{}].module_id", i), QuoteBriefly(report_.modules(i).module_id()),
            "the root does not reach this node: its parent does not list it, or it is on a cycle");
      }
    }
  }

  void CheckCategories() {
    for (int i = 0; i < report_.operator_categories_size(); ++i) {
      const std::string& id = report_.operator_categories(i).category_id();
      if (id.empty() || !categories_.insert(id).second) {
        Add(fmt::format("operator_categories[{}].category_id", i), QuoteBriefly(id),
            id.empty() ? "must not be empty" : "this category_id stands twice");
      }
    }
  }

  void CheckModuleReference(const std::string& id, const std::string& path, absl::flat_hash_set<std::string>* seen) {
    if (!modules_.contains(id)) {
      Add(path + ".module_id", QuoteBriefly(id), "no module has this id");
    } else if (!seen->insert(id).second) {
      Add(path + ".module_id", QuoteBriefly(id), "this module_id stands twice");
    }
  }

  template <typename Breakdown>
  void CheckBreakdown(const Breakdown& breakdown, const std::string& path) {
    absl::flat_hash_set<std::string> seen;
    for (int i = 0; i < breakdown.size(); ++i) {
      const std::string& id = breakdown.Get(i).category_id();
      const std::string entry = fmt::format("{}.operator_breakdown[{}].category_id", path, i);
      if (!categories_.contains(id)) {
        Add(entry, QuoteBriefly(id), "no operator category has this id");
      } else if (!seen.insert(id).second) {
        Add(entry, QuoteBriefly(id), "this category_id stands twice");
      }
    }
  }

  void CheckMetrics() {
    absl::flat_hash_set<std::string> seen;
    for (int i = 0; i < report_.module_metrics_size(); ++i) {
      const v1::ModuleMetricsSnapshot& metrics = report_.module_metrics(i);
      const std::string path = fmt::format("module_metrics[{}]", i);
      CheckModuleReference(metrics.module_id(), path, &seen);
      if (!report_.has_workload() || metrics.profile_id() != report_.workload().profile_id()) {
        Add(path + ".profile_id", QuoteBriefly(metrics.profile_id()), "not the report's workload");
      }
      if (metrics.operator_breakdown().empty()) {
        Add(path + ".operator_breakdown", "[]", "must not be empty");
      }
      CheckBreakdown(metrics.operator_breakdown(), path);
      CheckInterval(metrics.interval_50_ms(), path + ".interval_50_ms");
      CheckInterval(metrics.interval_90_ms(), path + ".interval_90_ms");
      for (int k = 0; k < metrics.operator_breakdown_size(); ++k) {
        CheckInterval(metrics.operator_breakdown(k).interval_90_ms(),
                      fmt::format("{}.operator_breakdown[{}].interval_90_ms", path, k));
      }
    }
  }

  void CheckMeasurements() {
    absl::flat_hash_set<std::string> seen;
    for (int i = 0; i < report_.module_measurements_size(); ++i) {
      const std::string path = fmt::format("module_measurements[{}]", i);
      CheckModuleReference(report_.module_measurements(i).module_id(), path, &seen);
      CheckBreakdown(report_.module_measurements(i).operator_breakdown(), path);
      CheckExpertPicks(report_.module_measurements(i), path);
    }
  }

  // Every layer has the same experts and saw the same tokens.
  void CheckExpertPicks(const v1::ModuleMeasurement& measurement, const std::string& path) {
    const auto sum_of = [](const v1::ExpertPicks& layer) {
      return std::accumulate(layer.picks().begin(), layer.picks().end(), absl::int128(0));
    };
    for (int i = 1; i < measurement.expert_picks_size(); ++i) {
      const v1::ExpertPicks& layer = measurement.expert_picks(i);
      const v1::ExpertPicks& first = measurement.expert_picks(0);
      const std::string entry = fmt::format("{}.expert_picks[{}]", path, i);
      if (layer.layer() <= measurement.expert_picks(i - 1).layer()) {
        Add(entry + ".layer", fmt::format("{}", layer.layer()), "must be above the layer before it");
      }
      if (layer.picks_size() != first.picks_size() || sum_of(layer) != sum_of(first)) {
        Add(entry + ".picks", fmt::format("[{}]", layer.picks_size()),
            fmt::format("must be {} with the sum of those of layer {}", first.picks_size(), first.layer()));
      }
    }
  }

  // launched = recorded + dropped + invalid + pending, of a Ledger or a StreamLedger.
  template <typename Message>
  void CheckLedgerRow(const Message& row, const std::string& path) {
    if (row.has_launched() != row.has_pending()) {
      Add(path + (row.has_launched() ? ".pending" : ".launched"), "null",
          "launched and pending are there together, or neither is");
    } else if (row.has_launched() &&
               absl::int128(row.recorded()) + row.dropped() + row.invalid() + row.pending() != row.launched()) {
      Add(path + ".launched", fmt::format("{}", row.launched()),
          fmt::format("must be recorded {} + dropped {} + invalid {} + pending {}", row.recorded(), row.dropped(),
                      row.invalid(), row.pending()));
    }
  }

  void CheckLedger(const v1::Ledger& ledger, const std::string& path) {
    CheckLedgerRow(ledger, path);
    for (int i = 0; i < ledger.streams_size(); ++i) {
      CheckLedgerRow(ledger.streams(i), fmt::format("{}.streams[{}]", path, i));
    }
    const auto check_sum = [&](std::string_view name, int64_t whole, int64_t (v1::StreamLedger::*part)() const) {
      absl::int128 sum = 0;
      for (const v1::StreamLedger& stream : ledger.streams()) {
        sum += (stream.*part)();
      }
      if (sum != whole) {
        Add(fmt::format("{}.{}", path, name), fmt::format("{}", whole), "must be the sum of the streams");
      }
    };
    check_sum("launched", ledger.launched(), &v1::StreamLedger::launched);
    check_sum("recorded", ledger.recorded(), &v1::StreamLedger::recorded);
    check_sum("dropped", ledger.dropped(), &v1::StreamLedger::dropped);
    check_sum("invalid", ledger.invalid(), &v1::StreamLedger::invalid);
    check_sum("pending", ledger.pending(), &v1::StreamLedger::pending);
  }

  void CheckSampling(const v1::Sampling& sampling, const std::string& path) {
    if (sampling.requests_recorded() > sampling.requests_seen()) {
      Add(path + ".requests_recorded", fmt::format("{}", sampling.requests_recorded()),
          fmt::format("more than the {} seen", sampling.requests_seen()));
    }
    if (sampling.device_time_95_ms_size() != 2 || sampling.device_time_95_ms(0) > sampling.device_time_95_ms(1)) {
      Add(path + ".device_time_95_ms", fmt::format("[{}]", sampling.device_time_95_ms_size()), "must be [low, high]");
    }
  }

  void CheckCapture() {
    const v1::Attribution& attribution = report_.attribution();
    if (attribution.has_ledger()) {
      CheckLedger(attribution.ledger(), "attribution.ledger");
    }
    if (attribution.has_sampling()) {
      CheckSampling(attribution.sampling(), "attribution.sampling");
    }
    if (report_.has_measured_total_time_ms() && attribution.sync_gap_time_ms() > report_.measured_total_time_ms()) {
      Add("attribution.sync_gap_time_ms", FormatDouble(attribution.sync_gap_time_ms()), "is longer than the request");
    }
    for (int i = 0; i < attribution.incidents_size(); ++i) {
      CheckNotEmpty(fmt::format("attribution.incidents[{}].code", i), attribution.incidents(i).code());
    }
  }

  // Parts are whole nanoseconds that add up.
  void CheckResidual() {
    if (!report_.has_residual()) {
      return;
    }
    const v1::Residual& residual = report_.residual();
    const auto nanoseconds = [](double ms) { return std::round(ms * 1e6); };
    if (!report_.has_measured_total_time_ms() || !report_.has_predicted_total_time_ms()) {
      Add("residual", "{…}", "must be null where nothing was measured or predicted");
    }
    double sum = 0;
    for (int i = 0; i < residual.parts_size(); ++i) {
      const v1::ResidualPart& part = residual.parts(i);
      const std::string path = fmt::format("residual.parts[{}]", i);
      sum += nanoseconds(part.residual_ms());
      if (part.has_module_id() && !modules_.contains(part.module_id())) {
        Add(path + ".module_id", QuoteBriefly(part.module_id()), "no module has this id");
      }
      if (part.has_category_id() && !categories_.contains(part.category_id())) {
        Add(path + ".category_id", QuoteBriefly(part.category_id()), "no operator category has this id");
      }
    }
    if (sum != nanoseconds(residual.residual_ms())) {
      Add("residual.residual_ms", fmt::format("{}", residual.residual_ms()), "must be the sum of the parts");
    }
  }

  const v1::AnalyticModelReport& report_;
  bool has_drift_ = false;                         // a share above 1
  absl::flat_hash_map<std::string, int> modules_;  // module_id -> index
  absl::flat_hash_set<std::string> listed_;        // module_ids that stand as somebody's child
  absl::flat_hash_set<std::string> categories_;
  std::vector<v1::CheckProblem> problems_;
};

}  // namespace

std::vector<v1::CheckProblem> Validate(const v1::AnalyticModelReport& report) { return Validator(report).Run(); }

}  // namespace dsocr::document
