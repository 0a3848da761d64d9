// `dsocr-runner analyze`: the static analyzer's traces (model/trace/trace.h) for dsocrd, as docs/runner-protocol.md has
// them.
#ifndef DSOCR_MODEL_COMMAND_ANALYZE_H_
#define DSOCR_MODEL_COMMAND_ANALYZE_H_

#include <istream>
#include <ostream>

namespace dsocr::model {

// Reads one request, JSON up to the end of `in`, and writes one document. Returns the exit code. Throws InputError.
int RunAnalyze(std::istream& in, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_ANALYZE_H_
