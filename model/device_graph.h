// Device work that is recorded once and launched again as a whole.
#ifndef DSOCR_MODEL_DEVICE_GRAPH_H_
#define DSOCR_MODEL_DEVICE_GRAPH_H_

#include <functional>
#include <memory>

namespace dsocr::model {

// What a replay reads and writes lies where the recorded work read and wrote it: tensors that `body` is to see change
// are filled in place before, and a tensor that it returned is overwritten.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;

  // Records what `body` launches on the current stream; nothing of it need run before Replay. The body may not wait for
  // the device, nor copy from it, and what it refers to must live as long as the graph. An exception of the body leaves
  // the stream of no more use.
  virtual void Capture(const std::function<void()>& body) = 0;

  // Launches the recording on the current stream. REQUIRES: Capture.
  virtual void Replay() = 0;
};

using MakeDeviceGraph = std::function<std::unique_ptr<DeviceGraph>()>;

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_DEVICE_GRAPH_H_
