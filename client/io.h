// The outside world of a command, apart from the daemon: streams, environment, place. A test hands in its own.
#ifndef DSOCR_CLIENT_IO_H_
#define DSOCR_CLIENT_IO_H_

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace dsocr::client {

class Io {
 public:
  virtual ~Io() = default;

  // The next bytes of standard input, at most `max_bytes` and as soon as there are any; none: its end. INTERNAL where
  // it cannot be read.
  virtual absl::StatusOr<std::string> In(size_t max_bytes) = 0;
  virtual void Out(std::string_view text) = 0;  // results; buffered until Flush
  virtual void Err(std::string_view text) = 0;  // everything else; at once
  // Writes what Out has gathered. An error (a full disk) is remembered and returned from then on.
  virtual absl::Status Flush() = 0;

  // An unset variable and an empty one are the same.
  virtual std::optional<std::string> Env(const std::string& name) const = 0;

  bool out_is_terminal = false;
  bool err_is_terminal = false;
  uid_t uid = 0;
  std::string working_dir;     // absolute
  std::string executable_dir;  // absolute; where dsocrctl is
};

// The streams and the environment of this process.
class ProcessIo : public Io {
 public:
  ProcessIo();
  absl::StatusOr<std::string> In(size_t max_bytes) override;
  void Out(std::string_view text) override;
  void Err(std::string_view text) override;
  absl::Status Flush() override;
  std::optional<std::string> Env(const std::string& name) const override;

 private:
  std::string buffer_;
  absl::Status status_;
};

// `path` as an absolute one, seen from io.working_dir; "." and ".." are resolved as text.
std::string AbsolutePath(const Io& io, std::string_view path);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_IO_H_
