// Operators to measure, and the tensors that they run on.
//
// A point is an operator of the model at a shape that the model uses. Its operands are made on first use, filled with
// constants: on the kernels in question time does not depend on values, as long as none is denormal.
#ifndef DSOCR_MODEL_CALIBRATE_BENCH_H_
#define DSOCR_MODEL_CALIBRATE_BENCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/calibrate/work.h"

namespace dsocr::model {

// Memory that is read in a circle, much larger than any cache of a device: what is taken has not been read for as long
// as the whole circle takes. Not thread-safe.
class Arena {
 public:
  explicit Arena(at::Tensor memory) : memory_(std::move(memory)) {}

  const at::Tensor& memory() const { return memory_; }

  // Which of some pieces, `stride` elements apart, is the next that begins behind all that was taken.
  int64_t Take(int64_t pieces, int64_t stride) {
    const int64_t piece = (taken_ + stride - 1) / stride % pieces;
    taken_ = (piece + 1) * stride;
    return piece;
  }

 private:
  at::Tensor memory_;
  int64_t taken_ = 0;  // elements, of this time round
};

// A weight, or what a step of decode has cached, that is in none of the device's caches when its turn comes.
class ColdWeight {
 public:
  // REQUIRES: at most as large as the arena.
  ColdWeight(std::shared_ptr<Arena> arena, at::IntArrayRef shape);

  const at::Tensor& Next() { return pieces_[arena_->Take(static_cast<int64_t>(pieces_.size()), stride_)]; }

 private:
  std::shared_ptr<Arena> arena_;
  int64_t stride_ = 0;
  std::vector<at::Tensor> pieces_;
};

// Waits until the device has done what was started; nothing on a CPU.
void Synchronize(at::Device device);

// Makes operands of one dtype on one device.
class Bench {
 public:
  Bench(at::Device device, at::ScalarType dtype) : device_(device), dtype_(dtype) {}

  at::Device device() const { return device_; }
  int64_t element_bytes() const { return dtype_ == at::kFloat ? 4 : 2; }

  // What an operator gives to the next one: of one size, all points of a visit have the same, as an allocator gives a
  // model the same memory again, which its caches still know. Ones, at first.
  at::Tensor Activation(at::IntArrayRef shape);
  void ForgetActivations() { activations_.clear(); }
  at::Tensor Filled(at::IntArrayRef shape, double value) const;
  at::Tensor Float(at::IntArrayRef shape, double value) const;
  at::Tensor Indices(int64_t count, int64_t below) const;     // 0, 1, …, wrapping at `below`; int64
  std::shared_ptr<ColdWeight> Weight(at::IntArrayRef shape);  // REQUIRES: at most kArenaElements

  void Synchronize() const { model::Synchronize(device_); }

 private:
  at::Device device_;
  at::ScalarType dtype_;
  std::shared_ptr<Arena> arena_;               // made by the first Weight
  std::map<int64_t, at::Tensor> activations_;  // by elements
};

using Body = std::function<void()>;

struct Point {
  std::string category;  // contracts.md, "Categories"
  std::string name;      // e.g. "sam 1024 window qkv"
  Work work;
  std::function<Body(Bench&)> prepare;  // makes the operands; the body runs the operator once
  PointSize size;
};

// Points that are measured in turn, one call each, so that each finds the caches as its neighbours leave them.
using Group = std::vector<Point>;

struct Suite {
  std::vector<Group> groups;
  size_t usual = 0;  // groups, the first ones: what the usual workloads use
};

// vision/sam for `views` views of `side` pixels.
std::vector<Point> SamPoints(const Bench& bench, int64_t side, int64_t views = 1);
// vision/clip and projector for `views` views of queries x queries tokens.
std::vector<Point> ClipPoints(const Bench& bench, int64_t queries, int64_t views = 1);
// prefill over `tokens` positions.
std::vector<Point> PrefillPoints(const Bench& bench, int64_t tokens);
// A layer in a step of decode, with 512 positions in the cache.
std::vector<Point> DecodeLayerPoints(const Bench& bench);
// What of it depends on the positions in the cache.
std::vector<Point> DecodeCorePoints(const Bench& bench, std::initializer_list<int64_t> keys);
// What a step of decode does after its layers and before those of the next. Apart from a layer, which comes a dozen
// times as often: a layer finds in the caches what the layer before it has left, and not what lm_head has.
std::vector<Point> DecodeEndPoints(const Bench& bench);
// Square matrix products, smaller than the model's.
std::vector<Point> ProductPoints(const Bench& bench);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_BENCH_H_
