#include "daemon/export/artifacts.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::exporter {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestRunId = 100;
constexpr std::string_view kStatic = "static_analysis";
constexpr std::string_view kModel = "analytic_model";
constexpr std::string_view kTorchInfo = "torchinfo";

absl::Status Failed(std::string_view what, const std::string& path, int error) {
  const std::string cause = fmt::format("{} '{}': {}", what, path, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(cause + "; change its mode or choose another --artifacts-dir");
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(cause + "; free space there or choose another --artifacts-dir");
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return absl::InvalidArgumentError(cause + "; choose another --artifacts-dir");
    default:
      return absl::InternalError(cause + "; see the file system's messages");
  }
}

absl::Status Taken(const std::string& run_id, const fs::path& where) {
  return absl::AlreadyExistsError(
      fmt::format("run '{}': '{}' is there already; choose another --run-id", run_id, where.string()));
}

absl::Status CheckRunId(const std::string& run_id) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (run_id.empty() || run_id.size() > kLongestRunId || run_id.front() == '.' ||
      run_id.find_first_not_of(kAllowed) != std::string::npos) {
    return absl::InvalidArgumentError(fmt::format(
        "run id of {} characters: not 1 to {} letters, digits, '.', '_' or '-', or it starts with '.'; choose another",
        run_id.size(), kLongestRunId));
  }
  return absl::OkStatus();
}

// Whether directories can be made in `root`, or in the nearest directory above it that is there.
absl::Status CheckRoot(const fs::path& root) {
  if (!root.is_absolute()) {
    return absl::InvalidArgumentError(
        fmt::format("artifacts directory '{}': not an absolute path; give one that starts with /", root.string()));
  }
  for (fs::path directory = root;; directory = directory.parent_path()) {
    struct stat info;
    if (stat(directory.c_str(), &info) != 0) {
      if (errno != ENOENT) {
        return Failed("artifacts directory", directory.string(), errno);
      }
      continue;
    }
    if (!S_ISDIR(info.st_mode)) {
      return Failed("artifacts directory", directory.string(), ENOTDIR);
    }
    return faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0
               ? absl::OkStatus()
               : Failed("artifacts directory", directory.string(), errno);
  }
}

// Missing directories down to `directory`; returns those it made, outermost first.
absl::StatusOr<std::vector<fs::path>> MakeDirectories(const fs::path& directory) {
  std::vector<fs::path> made;
  fs::path path;
  for (const fs::path& part : directory) {
    path /= part;
    if (mkdir(path.c_str(), 0777) == 0) {
      made.push_back(path);
    } else if (const int error = errno; error != EEXIST) {
      for (auto last = made.rbegin(); last != made.rend(); ++last) {
        rmdir(last->c_str());
      }
      return Failed("artifacts directory", path.string(), error);
    }
  }
  return made;
}

absl::Status WriteFile(const fs::path& path, std::string_view text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.valid()) {
    return Failed("artifact", path.string(), errno);
  }
  while (!text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) {
      return Failed("artifact", path.string(), errno);
    }
    text.remove_prefix(written > 0 ? static_cast<size_t>(written) : 0);
  }
  return absl::OkStatus();
}

// Everything of one run below `directory`, which is not there yet.
absl::Status WriteTree(const fs::path& directory, const Artifacts& artifacts) {
  const fs::path analysis = directory / kStatic;
  const fs::path model = analysis / kModel;
  const fs::path layers = model / "layers";
  DSOCR_RETURN_IF_ERROR(MakeDirectories(layers).status());
  DSOCR_RETURN_IF_ERROR(WriteFile(model / "report.json", document::ToJson(artifacts.report)));
  DSOCR_RETURN_IF_ERROR(WriteFile(model / "report.yaml", document::ToYaml(artifacts.report)));
  for (const Page& page : LayerPages(artifacts.report, artifacts.origin)) {
    DSOCR_RETURN_IF_ERROR(WriteFile(layers / page.file_name, page.text));
  }
  if (artifacts.analysis != nullptr) {
    DSOCR_RETURN_IF_ERROR(WriteFile(analysis / "static_compute.json", artifacts.analysis->json()));
    DSOCR_RETURN_IF_ERROR(WriteFile(analysis / "static_compute.md", artifacts.analysis->markdown()));
    DSOCR_RETURN_IF_ERROR(WriteFile(analysis / "static_compute_table.md", artifacts.analysis->table_markdown()));
  }
  if (artifacts.operators != nullptr) {
    DSOCR_RETURN_IF_ERROR(WriteFile(analysis / "target_operators.json", document::ToJson(*artifacts.operators)));
  }
  if (!artifacts.torchinfo.empty()) {
    DSOCR_RETURN_IF_ERROR(MakeDirectories(analysis / kTorchInfo).status());
  }
  for (const auto& [name, text] : artifacts.torchinfo) {
    DSOCR_RETURN_IF_ERROR(WriteFile(analysis / kTorchInfo / name, text));
  }
  return absl::OkStatus();
}

// One sync for all files: a call a file would cost a disk flush each.
absl::Status Sync(const fs::path& directory) {
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || syncfs(fd.get()) != 0) {
    return Failed("artifacts directory", directory.string(), errno);
  }
  return absl::OkStatus();
}

int Rename(const fs::path& from, const fs::path& to, unsigned flags) {
  return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0 : errno;
}

// Puts what lies in `staged` in its place, in one step.
absl::Status Publish(const fs::path& staged, const fs::path& run, const std::string& run_id, Existing existing) {
  int error = Rename(staged, run, RENAME_NOREPLACE);
  if (error != EEXIST) {
    return error == 0 ? absl::OkStatus() : Failed("artifacts directory", run.string(), error);
  }
  // The run's directory is there: a trace in it, or the artifacts of an earlier write.
  error = Rename(staged / kStatic, run / kStatic, RENAME_NOREPLACE);
  if (error == EEXIST && existing == Existing::kRefuse) {
    return Taken(run_id, run / kStatic);
  }
  if (error == EEXIST) {
    error = Rename(staged / kStatic, run / kStatic, RENAME_EXCHANGE);
  }
  return error == 0 ? absl::OkStatus() : Failed("artifacts directory", (run / kStatic).string(), error);
}

// Goes away at the end: the staging directory always, directories above it where nothing was published.
class Cleanup {
 public:
  explicit Cleanup(std::vector<fs::path> made) : made_(std::move(made)) {}
  ~Cleanup() {
    std::error_code ignored;
    if (!staged_.empty()) {
      fs::remove_all(staged_, ignored);
    }
    for (auto last = made_.rbegin(); last != made_.rend(); ++last) {
      rmdir(last->c_str());  // fails, rightly, where something lies in it
    }
  }
  void set_staged(fs::path staged) { staged_ = std::move(staged); }

 private:
  std::vector<fs::path> made_;
  fs::path staged_;
};

}  // namespace

std::string TorchInfoDir(const std::string& root, const std::string& run_id) {
  return (fs::path(root).lexically_normal() / run_id / kStatic / kTorchInfo).string();
}

std::string ArtifactsDir(const std::string& root, const std::string& run_id) {
  return (fs::path(root).lexically_normal() / run_id / kStatic / kModel).string();
}

absl::Status CheckNewRun(const std::string& root, const std::string& run_id) {
  DSOCR_RETURN_IF_ERROR(CheckRunId(run_id));
  const fs::path directory = fs::path(root).lexically_normal();
  DSOCR_RETURN_IF_ERROR(CheckRoot(directory));
  std::error_code ignored;
  return fs::exists(fs::symlink_status(directory / run_id, ignored)) ? Taken(run_id, directory / run_id)
                                                                     : absl::OkStatus();
}

absl::StatusOr<std::string> WriteArtifacts(const std::string& root, const std::string& run_id,
                                           const Artifacts& artifacts, Existing existing) {
  DSOCR_RETURN_IF_ERROR(CheckRunId(run_id));
  const fs::path directory = fs::path(root).lexically_normal();
  DSOCR_RETURN_IF_ERROR(CheckRoot(directory));
  DSOCR_ASSIGN_OR_RETURN(std::vector<fs::path> made, MakeDirectories(directory));
  Cleanup cleanup(std::move(made));

  std::string staged = (directory / fmt::format(".{}.XXXXXX", run_id)).string();
  if (mkdtemp(staged.data()) == nullptr) {
    return Failed("artifacts directory", directory.string(), errno);
  }
  cleanup.set_staged(staged);
  const fs::path content = fs::path(staged) / run_id;
  DSOCR_RETURN_IF_ERROR(WriteTree(content, artifacts));
  DSOCR_RETURN_IF_ERROR(Sync(content));
  DSOCR_RETURN_IF_ERROR(Publish(content, directory / run_id, run_id, existing));
  return ArtifactsDir(root, run_id);
}

}  // namespace dsocr::exporter
