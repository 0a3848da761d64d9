// `dsocr-runner tokenize`: JSON lines in, JSON lines out.
#ifndef DSOCR_MODEL_TEXT_TOKENIZE_H_
#define DSOCR_MODEL_TEXT_TOKENIZE_H_

#include <istream>
#include <ostream>
#include <string>

namespace dsocr::model {

// Reads {"text": "…"} a line and writes {"ids": […], "decoded": "…"} a line, flushed, in the same order; empty lines
// are skipped. Special tokens are recognised, none is added, and `decoded` keeps them. Returns the exit code 0. Throws
// InputError: as Tokenizer::Load, and invalid_argument naming the line that is not such an object; lines before it are
// answered.
int RunTokenize(const std::string& tokenizer_dir, std::istream& in, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TEXT_TOKENIZE_H_
