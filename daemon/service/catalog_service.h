// CatalogService: what there is to choose from, and how the daemon is.
#ifndef DSOCR_DAEMON_SERVICE_CATALOG_SERVICE_H_
#define DSOCR_DAEMON_SERVICE_CATALOG_SERVICE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "daemon/calibrate/machine.h"
#include "daemon/ops/activity.h"
#include "daemon/run/run_manager.h"
#include "daemon/store/store.h"
#include "dsocr/v1/catalog.grpc.pb.h"

namespace dsocr::service {

// Thread-safe. Borrows what it is given.
class CatalogService final : public v1::CatalogService::Service {
 public:
  CatalogService(store::Store* store, const calibrate::Machine* machine, const run::Planner* planner,
                 run::RunManager* runs, ops::Activity* activity)
      : store_(store), machine_(machine), planner_(planner), runs_(runs), activity_(activity) {}

  // Where the daemon serves; ports are known only once it does.
  void SetAddresses(std::vector<std::string> addresses) {
    absl::MutexLock lock(&mutex_);
    addresses_ = std::move(addresses);
  }

  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;
  grpc::Status ListWorkloads(grpc::ServerContext* context, const v1::ListWorkloadsRequest* request,
                             v1::ListWorkloadsResponse* response) override;
  grpc::Status DescribeWorkload(grpc::ServerContext* context, const v1::DescribeWorkloadRequest* request,
                                v1::WorkloadDescription* response) override;
  grpc::Status ListDevices(grpc::ServerContext* context, const v1::ListDevicesRequest* request,
                           v1::ListDevicesResponse* response) override;
  // INVALID_ARGUMENT for more than 100,000 names, or one of more than 4,096 bytes.
  grpc::Status ClassifyKernels(grpc::ServerContext* context, const v1::ClassifyKernelsRequest* request,
                               v1::ClassifyKernelsResponse* response) override;
  grpc::Status GetStatus(grpc::ServerContext* context, const v1::GetStatusRequest* request,
                         v1::DaemonStatus* response) override;

 private:
  store::Store* const store_;
  const calibrate::Machine* const machine_;
  const run::Planner* const planner_;
  run::RunManager* const runs_;
  ops::Activity* const activity_;
  const absl::Time started_ = absl::Now();
  absl::Mutex mutex_;
  std::vector<std::string> addresses_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_CATALOG_SERVICE_H_
