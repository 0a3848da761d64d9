// The calibration that `dsocrctl calibrate fit` writes: operator laws with the rows that they were fitted to, as one
// JSON document. docs/calibration.md has its keys.
//
//   1. Nothing is fitted again at load: a law that was read predicts the same bits as the one that was written.
//   2. What was read and is written again is the same text, but for laws of another revision: their fits are dropped.
#ifndef DSOCR_DAEMON_CALIBRATE_LAW_FILE_H_
#define DSOCR_DAEMON_CALIBRATE_LAW_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/law/law.h"
#include "daemon/calibrate/device_profile.h"

namespace dsocr::calibrate {

// Raised with every change of analytic/law/ that gives the fitted values another meaning. On disk.
inline constexpr int64_t kLawRevision = 1;
inline constexpr size_t kMaxLawFileBytes = size_t{32} << 20;  // kMaxTableRows rows have about 20 MB

struct LawFile {
  std::string tool_version;
  int64_t law_revision = kLawRevision;  // another one: the laws of `model` are not to be used
  std::string table_device;             // as the table names it
  ProfileOrigin origin = ProfileOrigin::kCatalogue;
  int64_t rows = 0;         // fitted; of one size and dtype, several become one sample
  std::string rows_sha256;  // RowsDigest
  std::optional<int64_t> points;
  std::optional<int64_t> seed;
  analytic::LawModel model;
};

// REQUIRES: all numbers finite.
std::string WriteLawFile(const LawFile& file);

// INVALID_ARGUMENT, naming the key, for anything else than what WriteLawFile writes.
absl::StatusOr<LawFile> ReadLawFile(std::string_view text);

// Whether the text says that it is one, whatever else is wrong with it.
bool ClaimsToBeLawFile(std::string_view text);

// `datasheet` with the laws of such a file, transferred where they are another device's. INVALID_ARGUMENT as above, and
// for laws of another revision.
absl::StatusOr<analytic::Device> WithLawFile(const analytic::Device& datasheet, std::string_view text, std::string id);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_LAW_FILE_H_
