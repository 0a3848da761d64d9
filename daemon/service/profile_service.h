// ProfileService: runs, that is executions under observation.
#ifndef DSOCR_DAEMON_SERVICE_PROFILE_SERVICE_H_
#define DSOCR_DAEMON_SERVICE_PROFILE_SERVICE_H_

#include "daemon/ops/activity.h"
#include "daemon/run/run_manager.h"
#include "dsocr/v1/profile.grpc.pb.h"

namespace dsocr::service {

// Thread-safe. Borrows what it is given.
class ProfileService final : public v1::ProfileService::Service {
 public:
  ProfileService(run::RunManager* runs, ops::Activity* activity) : runs_(runs), activity_(activity) {}

  grpc::Status StartRun(grpc::ServerContext* context, const v1::StartRunRequest* request,
                        v1::StartRunResponse* response) override;
  grpc::Status GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request, v1::Run* response) override;
  grpc::Status ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override;
  grpc::Status WatchRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                        grpc::ServerWriter<v1::RunEvent>* writer) override;
  grpc::Status CancelRun(grpc::ServerContext* context, const v1::GetRunRequest* request, v1::Run* response) override;
  grpc::Status FinishLaunch(grpc::ServerContext* context, const v1::FinishLaunchRequest* request,
                            v1::Run* response) override;
  grpc::Status ListProcesses(grpc::ServerContext* context, const v1::ListProcessesRequest* request,
                             v1::ListProcessesResponse* response) override;
  grpc::Status ExplainAttach(grpc::ServerContext* context, const v1::AttachRequest* request,
                             v1::ExplainAttachResponse* response) override;
  grpc::Status Attach(grpc::ServerContext* context, const v1::AttachRequest* request,
                      v1::AttachResponse* response) override;
  grpc::Status Detach(grpc::ServerContext* context, const v1::DetachRequest* request, v1::Run* response) override;

 private:
  run::RunManager* const runs_;
  ops::Activity* const activity_;
};

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_PROFILE_SERVICE_H_
