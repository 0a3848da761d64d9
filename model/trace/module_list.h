// The modules of the published PyTorch model: its classes on the paths of its checkpoint, as torchinfo would list them.
#ifndef DSOCR_MODEL_TRACE_MODULE_LIST_H_
#define DSOCR_MODEL_TRACE_MODULE_LIST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace dsocr::model {

struct PublishedModule {
  std::string path;             // "model.sam_model.blocks.0.attn"; "" for the root
  std::string qualified_class;  // "deepencoder.Attention", "torch.nn.modules.linear.Linear"
  std::string range;            // instance id of the range that runs it; "" for what has none of its own
  int parent = -1;              // index; -1 for the root
  int depth = 0;                // of the root: 0
  int64_t own_parameters = 0;   // of the module itself, children apart
  int64_t parameters = 0;       // children included
  std::vector<int64_t> kernel;  // of a convolution

  std::string name() const { return path.substr(path.rfind('.') + 1); }
  std::string class_name() const { return qualified_class.substr(qualified_class.rfind('.') + 1); }
  bool is_builtin() const { return qualified_class.starts_with("torch."); }
};

// Parents before their children, siblings in the order of the checkpoint. Made from ListWeights(config) and the modules
// without weights; a weight on a path of no known class is a defect: std::logic_error.
std::vector<PublishedModule> ListModules(const ModelConfig& config);

// The source file of a class, relative to the package or the published model that has it: "deepencoder.py".
std::string SourceFileOf(const std::string& qualified_class);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TRACE_MODULE_LIST_H_
