#include "analytic/module/frame.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace dsocr::analytic {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The encoder's sequence over the features of a view.
void AddEncoder(const ClipSpec&, Frame& frame) { frame.encoder_tokens = frame.features + 1; }
void AddEncoder(const QueryEncoderSpec& encoder, Frame& frame) {
  frame.queries = encoder.QueriesFor(frame.features);
  frame.encoder_tokens = frame.features + frame.queries;
}

Frame ViewFrame(const ModelSpec& model, int64_t views, int64_t side) {
  Frame frame;
  frame.passes = 1;
  frame.batch = views;
  frame.side = side;
  frame.grid = side / model.sam.patch_size;
  const int64_t windows = CeilDiv(frame.grid, model.sam.window_size);
  frame.padded_grid = windows * model.sam.window_size;
  frame.window_batch = views * windows * windows;
  frame.half_grid = CeilDiv(frame.grid, 2);
  frame.feature_grid = CeilDiv(frame.half_grid, 2);
  frame.features = frame.feature_grid * frame.feature_grid;
  std::visit([&frame](const auto& encoder) { AddEncoder(encoder, frame); }, model.encoder);
  return frame;
}

// Keys of all steps together, from a cache of `context` positions on.
int64_t KeysOfSteps(int64_t context, int64_t steps, bool is_replayed) {
  if (!is_replayed) {
    return steps * (context + 1) + steps * (steps - 1) / 2;
  }
  const int64_t end = context + steps;  // positions of the cache, which bound the last span
  int64_t keys = 0;
  for (int64_t first = context; first < end;) {
    const int64_t span = (first / kReplayedSpan + 1) * kReplayedSpan;
    const int64_t next = std::min(span, end);
    keys += (next - first) * std::min(span, end);
    first = next;
  }
  return keys;
}

}  // namespace

Shape ShapeIn(const Frame& frame, const Dims& dims) {
  Shape shape;
  shape.reserve(dims.size());
  for (const Dim& dim : dims) {
    shape.push_back(dim.In(frame));
  }
  return shape;
}

int64_t Product(const Frame& frame, const Dims& dims) {
  int64_t product = 1;
  for (const Dim& dim : dims) {
    product *= dim.In(frame);
  }
  return product;
}

Dims Append(Dims dims, std::initializer_list<Dim> more) {
  dims.insert(dims.end(), more);
  return dims;
}

Frame DecodeFrame(const Workload& workload, int64_t context) {
  Frame frame;
  frame.passes = 1;
  frame.batch = workload.batch;
  frame.tokens = 1;
  frame.keys = context + 1;
  return frame;
}

Frames FramesOf(const ModelSpec& model, const Workload& workload) {
  Frames frames;
  SetFrames(model, workload, LayOutImage(model, workload), &frames);
  return frames;
}

void SetFrames(const ModelSpec& model, const Workload& workload, const ImageLayout& layout, Frames* frames) {
  for (std::vector<Frame>& set : frames->sets) {
    set.clear();
  }
  std::vector<Frame>& views = frames->sets[static_cast<int>(FrameSet::kViews)];
  if (layout.num_crops > 0) {
    views.push_back(ViewFrame(model, workload.batch * layout.num_crops, layout.crop_side));
  }
  views.push_back(ViewFrame(model, workload.batch, layout.global_side));

  Frame request;
  request.passes = 1;
  request.batch = workload.batch;
  request.image_tokens = layout.image_tokens();
  for (const Frame& view : views) {
    request.feature_rows += view.batch / workload.batch * ViewRows(model, view.side);
  }
  frames->sets[static_cast<int>(FrameSet::kRequest)].push_back(request);

  Frame prefill = request;
  prefill.tokens = workload.seq_len;
  prefill.keys = workload.seq_len;
  frames->sets[static_cast<int>(FrameSet::kPrefill)].push_back(prefill);

  std::vector<Frame>& decode = frames->sets[static_cast<int>(FrameSet::kDecode)];
  if (const int64_t steps = workload.max_new_tokens - 1; steps > 0) {
    const int64_t keys = KeysOfSteps(workload.seq_len, steps, workload.cuda_graphs);
    const int64_t longer = keys % steps;
    decode.push_back(DecodeFrame(workload, keys / steps - 1));
    decode.back().passes = steps - longer;
    if (longer > 0) {
      decode.push_back(DecodeFrame(workload, keys / steps));
      decode.back().passes = longer;
    }
    for (Frame& frame : decode) {
      frame.is_replayed = workload.cuda_graphs;
    }
  }
}

}  // namespace dsocr::analytic
