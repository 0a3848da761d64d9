#include "analytic/explanation.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "analytic/module/definition.h"
#include "analytic/prediction.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"
#include "tests/analytic/routings.h"

namespace dsocr::analytic {
namespace {

// Every model with every workload that it accepts.
template <typename Check>
void ForEveryModelAndWorkload(Check check) {
  std::vector<ModelSpec> models = ModelCatalogue();
  models.push_back(TinyA());
  models.push_back(TinyB());
  models.emplace_back();
  models.back().variant += " with a routing";
  models.back().decoder.routing = UnevenRouting(models.back().decoder, 700, 50);
  for (const ModelSpec& model : models) {
    int accepted = 0;
    for (Workload workload : WorkloadCatalogue()) {
      if (workload.crop_mode) {
        workload.image_size = model.preprocess.crop_tile_size;
      }
      for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
        workload.precision = precision;
        if (CheckWorkload(model, workload).ok()) {
          SCOPED_TRACE(model.variant + ", " + workload.profile_id);
          check(model, workload);
          ++accepted;
        }
      }
    }
    EXPECT_GT(accepted, 0) << model.variant;
  }
}

TEST(Explain, AddsUpToThePredictionInEveryModule) {
  ForEveryModelAndWorkload([](const ModelSpec& model, const Workload& workload) {
    for (const char* name : {"h200-sxm", "cpu"}) {
      const Device device = *FindDevice(name);
      const Explanation explanation = Explain(model, workload, device);
      const Prediction prediction = *Predict(model, workload, device);
      ASSERT_EQ(explanation.modules.size(), prediction.modules.size());
      for (size_t i = 0; i < prediction.modules.size(); ++i) {
        SCOPED_TRACE(prediction.modules[i].module_id);
        ASSERT_EQ(explanation.tree.nodes[i].id, prediction.modules[i].module_id);
        const ModuleFigures& figures = prediction.modules[i].figures;
        const Account& account = explanation.modules[i].account;
        EXPECT_EQ(account.calls, figures.calls);
        EXPECT_EQ(account.flops, figures.flops);
        EXPECT_EQ(account.vector_flops, figures.vector_flops);
        EXPECT_EQ(account.bytes(), figures.io_bytes);
        EXPECT_EQ(account.launches, figures.launches);
        EXPECT_EQ(account.parameters, figures.parameters);
        EXPECT_EQ(account.weight_bytes, figures.weight_bytes);
        EXPECT_EQ(account.kv_cache_bytes, figures.kv_cache_bytes);
        EXPECT_EQ(account.peak_bytes, figures.peak_activation_bytes);
        EXPECT_NEAR(account.time_ns, figures.time_ns, 1e-9 * figures.time_ns);
      }
    }
  });
}

// Documents print the formulas of a leaf once, and the values of each call.
TEST(Explain, CallsOfALeafDifferInValuesAlone) {
  ForEveryModelAndWorkload([](const ModelSpec& model, const Workload& workload) {
    const Explanation explanation = Explain(model, workload, DeviceCatalogue().front());
    for (const ModuleExplanation& module : explanation.modules) {
      for (const DistinctCall& call : module.calls) {
        ASSERT_EQ(call.operators.size(), module.calls.front().operators.size());
        for (size_t i = 0; i < call.operators.size(); ++i) {
          const OperatorDescription& first = module.calls.front().operators[i].description;
          const OperatorDescription& op = call.operators[i].description;
          EXPECT_EQ(op.family, first.family);
          EXPECT_EQ(op.definition, first.definition);
          EXPECT_EQ(op.vector_flops.Symbolic(), first.vector_flops.Symbolic());
          EXPECT_EQ(op.read_bytes.Symbolic(), first.read_bytes.Symbolic());
          EXPECT_EQ(op.launches.Symbolic(), first.launches.Symbolic());
        }
      }
    }
  });
}

// The roofline as the pages state it, from the terms that they print.
TEST(ExplainTime, TermsGiveTheTimeAndItsBound) {
  ForEveryModelAndWorkload([](const ModelSpec& model, const Workload& workload) {
    for (const Device& device : {*FindDevice("l4"), *FindDevice("cpu")}) {
      const Explanation explanation = Explain(model, workload, device);
      for (const ModuleExplanation& module : explanation.modules) {
        for (const DistinctCall& call : module.calls) {
          for (const OperatorUse& use : call.operators) {
            const TimeTerms& t = use.time;
            const double stated = device.kind == DeviceKind::kCpu
                                      ? t.launch_ns + std::max({t.matrix_ns + t.vector_ns, t.memory_ns, t.floor_ns})
                                      : std::max({t.matrix_ns, t.vector_ns, t.memory_ns, t.floor_ns}) + t.idle_ns;
            EXPECT_NEAR(stated, t.ns, 1e-12 * t.ns);
            EXPECT_EQ(t.correction, 1);
          }
        }
      }
    }
  });
}

OperatorPass PassOf(const Operator& op, CategoryId category, const Device& device) {
  const Cost cost = CostOf(op, Precision::kBf16);
  return {.calls = 1, .cost = cost, .time = TimeOf(op, cost, category, Precision::kBf16, device)};
}

TEST(ExplainTime, ACalibratedDeviceCorrectsTheRoofline) {
  const Device datasheet = *FindDevice("cpu");
  const CalibrationPoint point = {.category_id = "gemm", .flops = 2'000'000'000, .io_bytes = 6'000'000, .time_ns = 3e8};
  const Device device = *Calibrate(datasheet, Precision::kBf16, {point}, "c-1");
  const Gemm gemm{.m = 1000, .n = 1000, .k = 1000};
  const TimeTerms terms =
      ExplainTime(PassOf(gemm, CategoryId::kGemm, device), CategoryId::kGemm, Precision::kBf16, device);
  EXPECT_NEAR(terms.ns, 3e8, 1e5);
  EXPECT_DOUBLE_EQ(terms.datasheet_ns * terms.correction, terms.ns);
}

TEST(Explain, NamesTheCallsOfAPage) {
  const ModelSpec model;
  const Explanation pages = Explain(model, *FindWorkload("dsocr-a4-v1"), DeviceCatalogue().front());
  const auto labels = [&](const Explanation& explanation, std::string_view id) {
    std::vector<std::string> labels;
    for (size_t i = 0; i < explanation.modules.size(); ++i) {
      for (const DistinctCall& call : explanation.modules[i].calls) {
        if (explanation.tree.nodes[i].id == id) {
          labels.push_back(call.label);
        }
      }
    }
    return labels;
  };
  EXPECT_EQ(labels(pages, "vision"), (std::vector<std::string>{"crops", "global view"}));
  EXPECT_EQ(labels(pages, "decode"), std::vector<std::string>{"step over 1056 keys"});  // 1024 + 31 cached, and itself
  const Explanation page = Explain(model, *FindWorkload("dsocr-base-v1"), DeviceCatalogue().front());
  EXPECT_EQ(labels(page, "vision"), std::vector<std::string>{"view"});
}

TEST(DefinitionOf, EveryModuleOfThePublishedModelHasOne) {
  for (const Node& node : BuildTree(ModelSpec()).nodes) {
    if (!node.is_leaf()) {
      EXPECT_FALSE(DefinitionOf(node).empty()) << node.id << " " << node.spec.qualified_class_name;
    }
  }
}

}  // namespace
}  // namespace dsocr::analytic
