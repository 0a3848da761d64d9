// A result file that is there whole or not at all: written beside its place, then renamed.
#ifndef DSOCR_CLIENT_OUTPUT_FILE_H_
#define DSOCR_CLIENT_OUTPUT_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace dsocr::client {

class OutputFile {
 public:
  // ALREADY_EXISTS if `path` is there and `may_overwrite` is not set. INVALID_ARGUMENT if it cannot be written.
  static absl::StatusOr<OutputFile> Create(const std::string& path, bool may_overwrite);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // without Commit: nothing stays

  absl::Status Write(std::string_view text);
  absl::Status Commit();

 private:
  OutputFile(std::string path, bool may_overwrite, std::string temporary, UniqueFd fd);
  absl::Status Error(absl::StatusCode code, int error) const;

  std::string path_;
  bool may_overwrite_;
  std::string temporary_;  // empty once committed or moved from
  UniqueFd fd_;
};

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_OUTPUT_FILE_H_
