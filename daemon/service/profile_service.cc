#include "daemon/service/profile_service.h"

#include "daemon/service/call.h"

namespace dsocr::service {

grpc::Status ProfileService::StartRun(grpc::ServerContext* context, const v1::StartRunRequest* request,
                                      v1::StartRunResponse* response) {
  return Answer(activity_, response, [&] { return runs_->Start(*request, CallerOf(*context)); });
}

grpc::Status ProfileService::GetRun(grpc::ServerContext*, const v1::GetRunRequest* request, v1::Run* response) {
  return Answer(activity_, response, [&] { return runs_->Get(request->run_id()); });
}

grpc::Status ProfileService::ListRuns(grpc::ServerContext*, const v1::ListRunsRequest* request,
                                      v1::ListRunsResponse* response) {
  return Answer(activity_, response, [&] { return runs_->List(*request); });
}

grpc::Status ProfileService::WatchRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                      grpc::ServerWriter<v1::RunEvent>* writer) {
  return Call(activity_, [&] {
    return runs_->Watch(
        request->run_id(), [context] { return context->IsCancelled(); },
        [writer](const v1::RunEvent& event) { return writer->Write(event); });
  });
}

grpc::Status ProfileService::CancelRun(grpc::ServerContext*, const v1::GetRunRequest* request, v1::Run* response) {
  return Answer(activity_, response, [&] { return runs_->Cancel(request->run_id()); });
}

grpc::Status ProfileService::FinishLaunch(grpc::ServerContext* context, const v1::FinishLaunchRequest* request,
                                          v1::Run* response) {
  return Answer(activity_, response,
                [&] { return runs_->FinishLaunch(*request, absl::FromChrono(context->deadline())); });
}

grpc::Status ProfileService::ListProcesses(grpc::ServerContext*, const v1::ListProcessesRequest* request,
                                           v1::ListProcessesResponse* response) {
  return Answer(activity_, response,
                [&] { return absl::StatusOr<v1::ListProcessesResponse>(run::ListProcesses(*request)); });
}

grpc::Status ProfileService::ExplainAttach(grpc::ServerContext*, const v1::AttachRequest* request,
                                           v1::ExplainAttachResponse* response) {
  return Answer(activity_, response, [&] { return run::ExplainAttach(*request); });
}

grpc::Status ProfileService::Attach(grpc::ServerContext* context, const v1::AttachRequest* request,
                                    v1::AttachResponse* response) {
  return Answer(activity_, response, [&] { return runs_->Attach(*request, CallerOf(*context)); });
}

grpc::Status ProfileService::Detach(grpc::ServerContext* context, const v1::DetachRequest* request, v1::Run* response) {
  return Answer(activity_, response,
                [&] { return runs_->Detach(request->pid(), absl::FromChrono(context->deadline())); });
}

}  // namespace dsocr::service
