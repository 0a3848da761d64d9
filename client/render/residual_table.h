// Why measured and predicted differ, for a person.
#ifndef DSOCR_CLIENT_RENDER_RESIDUAL_TABLE_H_
#define DSOCR_CLIENT_RENDER_RESIDUAL_TABLE_H_

#include <string>

#include "client/render/table.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::client {

// The largest parts, all others as one row, and the sum. At most 100 columns.
Table ResidualTable(const v1::Residual& residual);

// "+120 ms  gemm operators 12 % slower than predicted, most in prefill/lm_head [1, 1, 1280]"
std::string ResidualWords(const v1::ResidualPart& part);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_RESIDUAL_TABLE_H_
