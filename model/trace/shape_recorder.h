// Records what goes into each range and what comes out of it: the shape of the first operator's first tensor, and of
// the last operator's result.
#ifndef DSOCR_MODEL_TRACE_SHAPE_RECORDER_H_
#define DSOCR_MODEL_TRACE_SHAPE_RECORDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/ranges.h"

namespace dsocr::model {

using Shape = std::vector<int64_t>;

struct CallShapes {
  Shape input;
  Shape output;
  bool operator==(const CallShapes&) const = default;
};

// Records from its construction to its destruction; as FlopCounter, one observer a thread at a time.
class ShapeRecorder final : public RangeObserver {
 public:
  ShapeRecorder();
  ~ShapeRecorder() override;
  ShapeRecorder(const ShapeRecorder&) = delete;
  ShapeRecorder& operator=(const ShapeRecorder&) = delete;

  // By range id: the distinct calls, in order.
  const std::map<std::string, std::vector<CallShapes>>& calls() const { return calls_; }

  void Enter(const RangeName& name) override { open_.push_back({&name, {}, false}); }
  void Leave() override;
  void OnInput(const Shape& shape);
  void OnOutput(Shape shape) { last_output_ = std::move(shape); }
  bool wants_input() const { return !open_.empty() && !open_.back().has_input; }

 private:
  struct OpenRange {
    const RangeName* name;
    Shape input;
    bool has_input;
  };
  std::map<std::string, std::vector<CallShapes>> calls_;
  std::vector<OpenRange> open_;
  Shape last_output_;
  uint64_t callback_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TRACE_SHAPE_RECORDER_H_
