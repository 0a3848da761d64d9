#include "model/calibrate/speed_probe.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <functional>

#include "model/calibrate/bench.h"
#include "model/calibrate/clock.h"

namespace dsocr::model {
namespace {

constexpr int kProbeCalls = 5;

// About 10 ms each on two cores of a server CPU, 0.2 ms on an H200: far above what a clock or a launch adds.
struct ProbeSizes {
  int64_t side;
  int64_t copy_bytes;
};
constexpr ProbeSizes kCpuSizes = {.side = 768, .copy_bytes = int64_t{32} << 20};
constexpr ProbeSizes kGpuSizes = {.side = 4096, .copy_bytes = int64_t{256} << 20};

double Median(std::vector<Speed> probes, double Speed::*member) {
  const auto middle = probes.begin() + static_cast<std::ptrdiff_t>((probes.size() - 1) / 2);
  std::nth_element(probes.begin(), middle, probes.end(),
                   [member](const Speed& a, const Speed& b) { return a.*member < b.*member; });
  return (*middle).*member;
}

}  // namespace

SpeedProbe::SpeedProbe(at::Device device) : device_(device) {
  const ProbeSizes& sizes = device.is_cpu() ? kCpuSizes : kGpuSizes;
  // bf16 is emulated by some CPUs, and fast on every GPU that this program is for.
  const at::TensorOptions matrix =
      at::TensorOptions().device(device).dtype(device.is_cpu() ? at::kFloat : at::kBFloat16);
  a_ = at::full({sizes.side, sizes.side}, 0.5, matrix);
  b_ = at::full({sizes.side, sizes.side}, 0.5, matrix);
  product_ = at::empty({sizes.side, sizes.side}, matrix);
  from_ = at::full({sizes.copy_bytes}, 1, matrix.dtype(at::kByte));
  to_ = at::full({sizes.copy_bytes}, 0, matrix.dtype(at::kByte));
  // The first product starts the library, which takes many times as long as the product: it is not timed.
  at::mm_out(product_, a_, b_);
  to_.copy_(from_);
}

Speed SpeedProbe::Measure() {
  const c10::InferenceMode inference;
  const Clock clock = SteadyClock();
  const auto time = [&](const std::function<void()>& body) {
    Synchronize(device_);
    const double start_s = clock();
    body();
    Synchronize(device_);
    return (clock() - start_s) * kNsPerSecond;
  };
  SpeedLog calls;
  for (int i = 0; i < kProbeCalls; ++i) {
    calls.Add(
        {.gemm_ns = time([this] { at::mm_out(product_, a_, b_); }), .copy_ns = time([this] { to_.copy_(from_); })});
  }
  return calls.Median();
}

Surroundings::Surroundings(at::Device device) {
  if (device.is_cpu()) {
    probe_.emplace(device);
  }
}

std::optional<Speed> Surroundings::Now() {
  constexpr double kYoungS = 2;
  constexpr double kMostOfTheTime = 10;
  const Clock clock = SteadyClock();
  const double start_s = clock();
  if (probe_ && start_s >= stale_at_s_) {
    last_ = probe_->Measure();
    const double end_s = clock();
    stale_at_s_ = end_s + std::max(kYoungS, kMostOfTheTime * (end_s - start_s));
  }
  return last_;
}

double SpeedLog::Slowdown(size_t stretch) const {
  const Speed usual = Median();
  const size_t end = std::min(stretch + 1, probes_.size() - 1);
  double slowdown = 0;
  for (const Speed& probe : {probes_[stretch], probes_[end]}) {
    slowdown = std::max({slowdown, probe.gemm_ns / usual.gemm_ns, probe.copy_ns / usual.copy_ns});
  }
  return slowdown;
}

Speed SpeedLog::Median() const {
  return {.gemm_ns = model::Median(probes_, &Speed::gemm_ns), .copy_ns = model::Median(probes_, &Speed::copy_ns)};
}

}  // namespace dsocr::model
