#include "model/calibrate/timer.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace dsocr::model {
namespace {

constexpr int kCalls = 16;   // of a burst; a queue holds a thousand launches, and a call is a few
constexpr int kWaits = 101;  // medians of them
constexpr double kMsPerS = 1000;

// A product of 0.2 ms on an H200 and 0.5 ms on an A100. As many of them as the host needs to start a burst, at most:
// 13 and 32 ms.
constexpr int64_t kSide = 4096;
constexpr int kFewestAhead = 4;
constexpr int kMostAhead = 64;

}  // namespace

Timer CpuTimer(Clock clock) {
  return [clock = std::move(clock)](const Body& body) {
    const double start_s = clock();
    body();
    const double seconds = clock() - start_s;
    return Burst{.wall_s = seconds, .call_s = seconds};
  };
}

GpuTimer::GpuTimer(at::Device device, Clock clock)
    : device_(device),
      clock_(std::move(clock)),
      stream_(c10::impl::VirtualGuardImpl(device.type()).getStream(device)),
      start_(device.type(), c10::EventFlag::BACKEND_DEFAULT),
      end_(device.type(), c10::EventFlag::BACKEND_DEFAULT) {
  const at::TensorOptions options = at::TensorOptions().device(device).dtype(at::kBFloat16);
  a_ = at::full({kSide, kSide}, 0.5, options);
  b_ = at::full({kSide, kSide}, 0.5, options);
  product_ = at::empty({kSide, kSide}, options);
}

Burst GpuTimer::Time(const Body& body) {
  const double wall_s = clock_();
  for (int ahead = kFewestAhead;; ahead *= 2) {
    Synchronize(device_);
    for (int i = 0; i < ahead; ++i) {
      at::mm_out(product_, a_, b_);
    }
    start_.record(stream_);
    const double host_s = clock_();
    for (int i = 0; i < kCalls; ++i) {
      body();
    }
    const double host_end_s = clock_();
    const bool has_caught_up = start_.query();
    end_.record(stream_);
    Synchronize(device_);
    if (!has_caught_up || ahead >= kMostAhead) {
      return {.wall_s = clock_() - wall_s,
              .call_s = start_.elapsedTime(end_) / kMsPerS / kCalls,
              .host_s = (host_end_s - host_s) / kCalls};
    }
  }
}

double GpuTimer::WaitSeconds() {
  at::Tensor one = at::zeros({1}, at::TensorOptions().device(device_).dtype(at::kFloat));
  const Body body = [&one] { one.add_(1); };
  std::vector<double> waits;
  for (int i = 0; i < kWaits; ++i) {
    Synchronize(device_);
    const double start_s = clock_();
    body();
    Synchronize(device_);
    waits.push_back(clock_() - start_s);
  }
  std::ranges::nth_element(waits, waits.begin() + kWaits / 2);
  const Burst burst = Time(body);
  return std::max(0.0, waits[kWaits / 2] - burst.host_s - burst.call_s);
}

}  // namespace dsocr::model
