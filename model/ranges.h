// NVTX ranges that name the module that is running.
//
// Names are the instance ids of docs/module-tree.md (`vision/sam/block[7]/attn/qkv`), registered once when the model is
// built and pushed in the default domain; nothing is formatted per call. With no tool in the process a push and a pop
// cost about a nanosecond. A Range belongs to the thread that made it and nests strictly; a RangeName must outlive
// every Range on it.
#ifndef DSOCR_MODEL_RANGES_H_
#define DSOCR_MODEL_RANGES_H_

#include <nvtx3/nvToolsExt.h>

#include <string>
#include <utility>

namespace dsocr::model {

class RangeName {
 public:
  // `id` is a full instance id.
  explicit RangeName(std::string id);

  RangeName(const RangeName&) = delete;
  RangeName& operator=(const RangeName&) = delete;

  const std::string& id() const { return id_; }
  const nvtxEventAttributes_t& attributes() const { return attributes_; }

 private:
  const std::string id_;
  nvtxEventAttributes_t attributes_;
};

// Is told of every range of its thread, for what counts inside this process (model/trace/flop_counter.h).
class RangeObserver {
 public:
  virtual ~RangeObserver() = default;
  virtual void Enter(const RangeName& name) = 0;
  virtual void Leave() = 0;
};

// This thread's observer, or null. Set it while no range is open.
inline constinit thread_local RangeObserver* range_observer = nullptr;

class Range {
 public:
  explicit Range(const RangeName& name) {
    nvtxDomainRangePushEx(nullptr, &name.attributes());
    if (range_observer != nullptr) range_observer->Enter(name);
  }
  ~Range() {
    if (range_observer != nullptr) range_observer->Leave();
    nvtxDomainRangePop(nullptr);
  }

  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

// Runs `body` inside the range and returns what it returns: `x = In(ranges.lin1, [&] { return at::linear(x, w, b); });`
template <typename Body>
decltype(auto) In(const RangeName& name, Body&& body) {
  const Range range(name);
  return std::forward<Body>(body)();
}

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_RANGES_H_
