#include "daemon/service/catalog_service.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "analytic/device/device.h"
#include "analytic/workload.h"
#include "cupti/attribution/kernel_category.h"
#include "cupti/attribution/operator_category.h"
#include "daemon/catalog/models.h"
#include "daemon/catalog/workload_file.h"
#include "daemon/config/version.h"
#include "daemon/report/report.h"
#include "daemon/service/call.h"
#include "fmt/format.h"

namespace dsocr::service {
namespace {

constexpr double kTera = 1e12;
constexpr double kGiga = 1e9;
constexpr int kMaxKernelNames = 100'000;

v1::Device DescribeDevice(const analytic::Device& device) {
  v1::Device description;
  description.set_name(device.name);
  description.set_kind(device.kind == analytic::DeviceKind::kCpu ? "cpu" : "cuda");
  description.set_peak_bf16_tflops(device.matrix_bf16_flops_per_s / kTera);
  description.set_peak_fp32_tflops(device.matrix_fp32_flops_per_s / kTera);
  description.set_memory_bandwidth_gbs(device.memory_bytes_per_s / kGiga);
  description.set_memory_gb(static_cast<double>(device.memory_bytes) / kGiga);
  description.set_source(device.source);
  return description;
}

// The names under which this machine's devices go: "cpu", "cuda:0", …
std::vector<std::string> PresentNames(const calibrate::Machine& machine) {
  std::vector<std::string> names{"cpu"};
  for (size_t i = 0; i < machine.gpus.size(); ++i) {
    names.push_back(fmt::format("cuda:{}", i));
  }
  return names;
}

}  // namespace

grpc::Status CatalogService::ListModels(grpc::ServerContext*, const v1::ListModelsRequest*,
                                        v1::ListModelsResponse* response) {
  return Call(activity_, [&]() -> absl::Status {
    for (const analytic::ModelSpec& model : analytic::ModelCatalogue()) {
      *response->add_models() = report::DescribeModel(model, catalog::BuiltInConfigPath(model.variant), std::nullopt);
    }
    return absl::OkStatus();
  });
}

grpc::Status CatalogService::ListWorkloads(grpc::ServerContext*, const v1::ListWorkloadsRequest*,
                                           v1::ListWorkloadsResponse* response) {
  return Call(activity_, [&]() -> absl::Status {
    for (const analytic::Workload& workload : analytic::WorkloadCatalogue()) {
      *response->add_workloads() = catalog::ProfileOf(analytic::ModelSpec{}, workload);
    }
    return absl::OkStatus();
  });
}

grpc::Status CatalogService::DescribeWorkload(grpc::ServerContext*, const v1::DescribeWorkloadRequest* request,
                                              v1::WorkloadDescription* response) {
  return Answer(activity_, response, [&]() -> absl::StatusOr<v1::WorkloadDescription> {
    DSOCR_ASSIGN_OR_RETURN(const analytic::ModelSpec model, catalog::FindModel("", request->model_variant()));
    return catalog::DescribeWorkload(model, run::ProfileOrDefault(request->workload_profile_id()), request->workload());
  });
}

grpc::Status CatalogService::ListDevices(grpc::ServerContext*, const v1::ListDevicesRequest*,
                                         v1::ListDevicesResponse* response) {
  return Call(activity_, [&]() -> absl::Status {
    for (const std::string& name : PresentNames(*machine_)) {
      const absl::StatusOr<calibrate::Target> target = calibrate::ResolveDevice(name, *machine_);
      if (!target.ok()) {
        continue;  // a GPU without figures; `run --device` says so
      }
      v1::Device& device = *response->add_devices() = DescribeDevice(target->figures);
      device.set_name(name);
      device.set_present(true);
      device.set_source(fmt::format("{}: {}", target->info.name(), target->figures.source));
      DSOCR_ASSIGN_OR_RETURN(const std::optional<store::StoredCalibration> calibration,
                             store_->FindCalibration(planner_->CalibrationKeyOf(*target, analytic::Precision::kBf16)));
      if (calibration) {
        device.set_calibration_id(calibration->id);
      }
    }
    for (const analytic::Device& device : analytic::DeviceCatalogue()) {
      if (device.kind == analytic::DeviceKind::kCuda) {  // "cpu" is this machine's, above
        *response->add_devices() = DescribeDevice(device);
      }
    }
    return absl::OkStatus();
  });
}

grpc::Status CatalogService::ClassifyKernels(grpc::ServerContext*, const v1::ClassifyKernelsRequest* request,
                                             v1::ClassifyKernelsResponse* response) {
  return Call(activity_, [&]() -> absl::Status {
    const int count = request->kernel_names_size();
    if (count > kMaxKernelNames) {
      return absl::InvalidArgumentError(
          fmt::format("kernel_names: {} of them; give at most {} at once", count, kMaxKernelNames));
    }
    response->mutable_category_ids()->Reserve(count);
    for (int i = 0; i < count; ++i) {
      const std::string& name = request->kernel_names(i);
      if (name.size() > attribution::kMaxKernelNameBytes) {
        return absl::InvalidArgumentError(fmt::format("kernel_names[{}]: {} bytes; a name has at most {}", i,
                                                      name.size(), attribution::kMaxKernelNameBytes));
      }
      const int category = attribution::KernelCategory(name);
      response->add_category_ids(std::string(attribution::kCategories[static_cast<size_t>(category)]));
    }
    return absl::OkStatus();
  });
}

grpc::Status CatalogService::GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*, v1::DaemonStatus* response) {
  return Call(activity_, [&]() -> absl::Status {
    DSOCR_ASSIGN_OR_RETURN(const int64_t reports, store_->CountReports());
    response->set_version(std::string(config::kVersion));
    response->set_pid(::getpid());
    response->set_uptime_s(absl::ToDoubleSeconds(absl::Now() - started_));
    response->set_store(store_->url());
    response->set_reports(reports);
    response->set_runs_active(runs_->CountActive());
    absl::MutexLock lock(&mutex_);
    for (const std::string& address : addresses_) {
      response->add_listen(address);
    }
    return absl::OkStatus();
  });
}

}  // namespace dsocr::service
