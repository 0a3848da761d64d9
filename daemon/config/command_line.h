// The command line of dsocrd.
#ifndef DSOCR_DAEMON_CONFIG_COMMAND_LINE_H_
#define DSOCR_DAEMON_CONFIG_COMMAND_LINE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/config/paths.h"
#include "daemon/config/settings.h"

namespace dsocr::config {

enum class Action { kServe, kHelp, kVersion, kCheckConfig, kPrintConfig };

struct Invocation {
  Action action = Action::kServe;
  std::map<std::string, std::vector<std::string>> flags;  // what was given, by Setting::key
  std::string config_file;                                // --config, DSOCR_CONFIG, or empty
};

// INVALID_ARGUMENT for an unknown flag (with a suggestion), a missing value, or a stray argument. `arguments` without
// the program's name.
absl::StatusOr<Invocation> ParseCommandLine(const std::vector<std::string>& arguments,
                                            const Surroundings& surroundings);

// Opens with examples; the settings come from the table.
std::string HelpText();

}  // namespace dsocr::config

#endif  // DSOCR_DAEMON_CONFIG_COMMAND_LINE_H_
