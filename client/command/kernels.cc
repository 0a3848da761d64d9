#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/suggest.h"
#include "client/command/commands.h"
#include "client/command/upload.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document_text.h"

namespace dsocr::client {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kMaxNameBytes = 4096;     // of a name, as the daemon takes it; what is beyond decides nothing
constexpr size_t kFrameBytes = 4;          // before each name in a message: its tag and length
constexpr int kMaxNames = 10'000;          // of a request; with short names the bytes do not bound them
constexpr size_t kMaxLineBytes = 1 << 20;  // a file without lines is no list of names

// `line` as a message can hold it. The line itself is printed as it came.
std::string NameOf(std::string_view line) {
  std::string name;
  while (!line.empty()) {
    const size_t length = document::Utf8SequenceLength(line);  // 0: not UTF-8
    const std::string_view piece = length == 0 ? "?" : line.substr(0, length);
    if (name.size() + piece.size() > kMaxNameBytes) {
      break;
    }
    name += piece;
    line.remove_prefix(piece.size());
  }
  return name;
}

// Lines in, lines out, in requests of bounded size.
class Classifier {
 public:
  Classifier(Session* session, Daemon* daemon) : session_(session), daemon_(daemon) {}

  absl::Status Add(std::string line) {
    std::string name = NameOf(line);
    bytes_ += name.size() + kFrameBytes;
    request_.add_kernel_names(std::move(name));
    lines_.push_back(std::move(line));
    return bytes_ + kMaxNameBytes + kFrameBytes > kChunkBytes || request_.kernel_names_size() == kMaxNames
               ? Flush()
               : absl::OkStatus();
  }

  absl::Status Flush() {
    if (lines_.empty()) {
      return absl::OkStatus();
    }
    DSOCR_ASSIGN_OR_RETURN(const v1::ClassifyKernelsResponse response,
                           daemon_->Call(&v1::CatalogService::Stub::ClassifyKernels, request_));
    if (static_cast<size_t>(response.category_ids_size()) != lines_.size()) {
      return absl::InternalError(fmt::format("kernels classify: {} categories for {} names; update the daemon",
                                             response.category_ids_size(), lines_.size()));
    }
    for (size_t i = 0; i < lines_.size(); ++i) {
      session_->Out(response.category_ids(static_cast<int>(i)));
      session_->Out("\t");
      session_->Out(lines_[i]);
      session_->Out("\n");
    }
    lines_.clear();
    request_.Clear();
    bytes_ = 0;
    return absl::OkStatus();
  }

 private:
  Session* const session_;
  Daemon* const daemon_;
  v1::ClassifyKernelsRequest request_;
  std::vector<std::string> lines_;
  size_t bytes_ = 0;
};

absl::StatusOr<int> Kernels(Session& session) {
  const std::string& word = session.line().arguments[0];
  if (word != "classify") {
    return absl::InvalidArgumentError(fmt::format("kernels '{}': no such command{}", word,
                                                  DidYouMean(word, {"classify"}, "use 'dsocrctl kernels classify'")));
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  Classifier classifier(&session, daemon);
  std::string rest;  // of the input: what is not yet a whole line
  for (size_t line_number = 1;;) {
    DSOCR_ASSIGN_OR_RETURN(const std::string bytes, session.io().In(kReadBytes));
    size_t begin = 0;
    for (size_t end; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1, ++line_number) {
      rest.append(bytes, begin, end - begin);
      DSOCR_RETURN_IF_ERROR(classifier.Add(std::exchange(rest, {})));
    }
    rest.append(bytes, begin, std::string::npos);
    if (rest.size() > kMaxLineBytes) {
      return absl::InvalidArgumentError(
          fmt::format("standard input: line {}: longer than 1 MiB; give a kernel name a line", line_number));
    }
    if (bytes.empty()) {
      break;
    }
  }
  if (!rest.empty()) {  // a last line without its end
    DSOCR_RETURN_IF_ERROR(classifier.Add(std::move(rest)));
  }
  DSOCR_RETURN_IF_ERROR(classifier.Flush());
  return kExitDone;
}

}  // namespace

Command KernelsCommand() {
  return {.name = "kernels",
          .arguments = "classify",
          .summary = "the operator category of each kernel name on stdin: 'category<TAB>name', a line a line",
          .examples =
              "  dsocrctl kernels classify < names.txt\n"
              "  jq -r '.traceEvents[] | select(.cat == \"kernel\").name' trace.json | sort -u | dsocrctl kernels "
              "classify\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Kernels};
}

}  // namespace dsocr::client
