// What changed between two reports, for a person.
#ifndef DSOCR_CLIENT_RENDER_DIFF_TABLE_H_
#define DSOCR_CLIENT_RENDER_DIFF_TABLE_H_

#include <string>

#include "client/render/table.h"
#include "dsocr/v1/diff.pb.h"

namespace dsocr::client {

// Both sides and what else differs between them, then the modules and the operators that moved most; all others are one
// row, so that the rows add up. At most 100 columns.
std::string DiffText(const v1::DiffReportsResponse& diff, bool has_color);
std::string DiffMarkdown(const v1::DiffReportsResponse& diff);

// Every module, for CSV.
Table DiffTable(const v1::DiffReportsResponse& diff);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_DIFF_TABLE_H_
