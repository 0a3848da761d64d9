// Our list of modules against what torchinfo recorded of the published model elsewhere.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "model/trace/module_list.h"

namespace dsocr::model {
namespace {

using nlohmann::json;

TEST(ListModulesTest, EqualsTheModulesThatTorchInfoRecordedElsewhere) {
  std::map<std::string, std::set<std::string>> ours;  // paths by class
  for (const PublishedModule& module : ListModules(ModelConfig())) ours[module.class_name()].insert(module.path);
  std::ifstream file(std::string(DSOCR_SHARED_DIR) + "/reference/torchinfo/torchinfo-unique-layers.json");
  const json recorded = json::parse(file);
  EXPECT_EQ(ours.size(), recorded["layers"].size() + 1);  // theirs begins below the language model's head
  for (const json& layer : recorded["layers"]) {
    const std::string name = layer["class_name"];
    for (const std::string path : layer["instance_name"]) {
      EXPECT_TRUE(ours[name].contains(path.empty() ? "model" : "model." + path)) << name << " " << path;
    }
    // What never runs, and what torchinfo did not descend into, is recorded nowhere.
    EXPECT_GE(ours[name].size(), layer["instance_name"].size()) << name;
  }
}

}  // namespace
}  // namespace dsocr::model
