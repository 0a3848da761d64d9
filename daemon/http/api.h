// The endpoints: a request to what the services say of it. It knows no socket.
#ifndef DSOCR_DAEMON_HTTP_API_H_
#define DSOCR_DAEMON_HTTP_API_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/http/field_rule.h"
#include "daemon/http/message.h"
#include "daemon/http/metrics.h"
#include "daemon/http/route.h"
#include "dsocr/v1/analytic.pb.h"

namespace dsocr::http {

// What the endpoints stand on: the functions that serve gRPC too.
struct Services {
  std::function<absl::StatusOr<v1::DeepSeekOCRAnalyticAccepted>(const v1::DeepSeekOCRAnalyticRequest&)> run_analytic;
  std::function<absl::StatusOr<v1::DeepSeekOCRAnalyticReportSummary>(const std::string& report_id)> summary;
  std::function<absl::StatusOr<v1::DeepSeekOCRAnalyticModel>(const std::string& report_id)> model;
  std::function<absl::Status()> health;
  std::function<Figures()> figures;
};

// Thread-safe if the services are.
class Api {
 public:
  // `calls` must outlive it; every request is counted there.
  Api(Services services, Vocabulary vocabulary, std::string version, CallLog* calls);

  // Whatever the request is, there is a response. Only a Host that names loopback is answered: a page of another site
  // whose name was made to point here (DNS rebinding) is not. The listener is on loopback, so every honest client has
  // such a Host.
  Response Handle(const Request& request);

 private:
  Response Dispatch(const Request& request, std::string* label);
  Response Run(const Request& request);

  const Services services_;
  const Vocabulary vocabulary_;
  const std::string openapi_;
  CallLog* const calls_;
};

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_API_H_
