// /openapi.json: what the listener answers, as OpenAPI 3.1.
#ifndef DSOCR_DAEMON_HTTP_OPENAPI_H_
#define DSOCR_DAEMON_HTTP_OPENAPI_H_

#include <string>
#include <string_view>

#include "daemon/http/field_rule.h"

namespace dsocr::http {

// Made from the routes, the messages and the rules of their fields; `version` is the program's. Ends in a newline.
std::string OpenApiDocument(const Vocabulary& vocabulary, std::string_view version);

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_OPENAPI_H_
