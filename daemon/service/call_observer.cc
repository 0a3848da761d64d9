#include "daemon/service/call_observer.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace dsocr::service {
namespace {

using grpc::experimental::InterceptionHookPoints;

// One call.
class Observer : public grpc::experimental::Interceptor {
 public:
  Observer(std::string_view method, http::CallLog* calls) : method_(method), calls_(calls) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const auto code = static_cast<absl::StatusCode>(batch->GetSendStatus().error_code());
      calls_->Add("grpc", method_, absl::StatusCodeToString(code), absl::Now() - start_);
    }
    batch->Proceed();
  }

 private:
  const std::string method_;
  http::CallLog* const calls_;
  const absl::Time start_ = absl::Now();
};

class ObserverFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit ObserverFactory(http::CallLog* calls) : calls_(calls) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    std::string_view method = info->method();  // "/dsocr.v1.AnalyticService/RunAnalytic"
    method.remove_prefix(method.starts_with('/') ? 1 : 0);
    return new Observer(method, calls_);  // gRPC owns it
  }

 private:
  http::CallLog* const calls_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> ObserveCalls(http::CallLog* calls) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<ObserverFactory>(calls));
  return factories;
}

}  // namespace dsocr::service
