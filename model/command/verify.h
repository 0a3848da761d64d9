// `dsocr-runner verify`: prints the report of model/verify.h.
#ifndef DSOCR_MODEL_COMMAND_VERIFY_H_
#define DSOCR_MODEL_COMMAND_VERIFY_H_

#include <ostream>
#include <string>

#include "model/verify.h"

namespace dsocr::model {

enum class VerifyFormat { kTable, kJson };

void PrintVerifyReport(const VerifyReport& report, VerifyFormat format, std::ostream& out);

// Exit code 0 where everything passed, else 1. Throws InputError.
int RunVerify(const std::string& dir, DecodeMode mode, VerifyFormat format, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_COMMAND_VERIFY_H_
