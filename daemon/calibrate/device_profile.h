// Which figures of a device a table is fitted and judged with.
#ifndef DSOCR_DAEMON_CALIBRATE_DEVICE_PROFILE_H_
#define DSOCR_DAEMON_CALIBRATE_DEVICE_PROFILE_H_

#include <cstddef>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "dsocr/v1/validation.pb.h"

namespace dsocr::calibrate {

inline constexpr size_t kMaxProfileBytes = 64 * 1024;

enum class ProfileOrigin { kCatalogue, kFile, kEstimated };
std::string_view OriginName(ProfileOrigin origin);  // "catalogue", "file", "estimated"

struct DeviceProfile {
  analytic::Device device;
  ProfileOrigin origin = ProfileOrigin::kCatalogue;
};

// The catalogue's device of a name of its own or of the driver's ("NVIDIA H100 80GB HBM3"); nullopt if there is none.
std::optional<analytic::Device> FindByAnyName(std::string_view name);

// What `choice` names or holds; nullopt where it is empty. NOT_FOUND for a name that the catalogue does not have;
// INVALID_ARGUMENT, naming the field, for a file that is no profile.
absl::StatusOr<std::optional<DeviceProfile>> ChosenProfile(const v1::ProfileChoice& choice);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_DEVICE_PROFILE_H_
