#include "analytic/prediction.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace dsocr::analytic {
namespace {

// The shapes of the node's distinct calls; those of a decode that has no step are not known.
std::vector<Shape> Shapes(const Node& node, const Dims& dims, const Frames& frames) {
  std::vector<Shape> shapes;
  if (dims.empty()) {
    return shapes;
  }
  for (const Frame& frame : frames.Of(node.frames)) {
    if (!node.RunsIn(frame)) {
      continue;
    }
    Shape shape = ShapeIn(frame, dims);
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) {
      shapes.push_back(std::move(shape));
    }
  }
  return shapes;
}

}  // namespace

absl::StatusOr<Prediction> Predict(const ModelSpec& model, const Workload& workload, const Device& device) {
  DSOCR_RETURN_IF_ERROR(CheckWorkload(model, workload));
  DSOCR_RETURN_IF_ERROR(CheckDevice(workload, device));
  ModuleTree tree = BuildTree(model);
  const Frames frames = FramesOf(model, workload);
  std::vector<ModuleFigures> figures = Evaluate(tree, frames, workload.precision, device);

  Prediction prediction;
  prediction.modules.reserve(tree.nodes.size());
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    Node& node = tree.nodes[i];
    PredictedModule module;
    module.input_shapes = Shapes(node, node.spec.input, frames);
    module.output_shapes = Shapes(node, node.spec.output, frames);
    module.module_id = std::move(node.id);
    module.name = std::move(node.spec.name);
    module.qualified_class_name = std::move(node.spec.qualified_class_name);
    module.stage = node.stage;
    module.parent = node.parent;
    module.children = std::move(node.children);
    module.repetition = node.spec.repetition;
    module.repetition_count = node.spec.repeats_with_passes ? figures[i].calls : node.spec.repetition_count;
    module.constructor_params = std::move(node.spec.constructor_params);
    module.figures = std::move(figures[i]);
    prediction.modules.push_back(std::move(module));
  }
  prediction.module_of_range = std::move(tree.node_of_range);
  return prediction;
}

}  // namespace dsocr::analytic
