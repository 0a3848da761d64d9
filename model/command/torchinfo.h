// `dsocr-runner torchinfo`: what torchinfo prints of a PyTorch model, of this one, from traces on the meta device.
//
//   torchinfo-unique-layers.json, .md   the classes of the published model, their instances, parents and children
//   torchinfo-stages.json               parameters and multiply-adds of sam, clip, projector, prefill and decode
//   torchinfo-summary.txt               the module tree with shapes, parameters and multiply-adds of one request
//
// The schema is that of the artifacts which are known of the published model; multiply-adds are those of matrix
// products and convolutions, as executed (FLOPs / 2), where torchinfo has rules of thumb.
#ifndef DSOCR_MODEL_COMMAND_TORCHINFO_H_
#define DSOCR_MODEL_COMMAND_TORCHINFO_H_

#include <string>

#include "model/command/serve_request.h"

namespace dsocr::model {

struct TorchInfoOptions {
  std::string out_dir;   // made if need be; files in it are replaced
  ServeRequest request;  // model_dir, workload and context; the rest is not used
};

// Returns the exit code. Throws InputError, also where a file cannot be written.
int RunTorchInfo(const TorchInfoOptions& options);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_TORCHINFO_H_
