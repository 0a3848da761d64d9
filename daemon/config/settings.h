// Every setting of dsocrd, in one table: parser, --help, --print-config and docs/operations.md all come from it.
#ifndef DSOCR_DAEMON_CONFIG_SETTINGS_H_
#define DSOCR_DAEMON_CONFIG_SETTINGS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/config/paths.h"

namespace dsocr::config {

struct Config {
  std::vector<std::string> listen;  // unix:/abs/path or loopback HOST:PORT, at least one
  std::string http;                 // loopback HOST:PORT; empty: off
  std::string store;                // sqlite:/abs/path
  std::string artifacts_dir;        // absolute
  std::string runner_path;          // absolute
  std::string agent_path;           // absolute
  absl::Duration idle_exit = absl::InfiniteDuration();
  absl::Duration drain_deadline;
  bool analyzer_enabled = true;   // the static analyzer traces the model with the runner
  absl::Duration runner_silence;  // a runner that says nothing for so long is stopped
  std::string log_file;           // absolute; empty: stderr
};

struct Setting {
  std::string_view key;            // in the file, a.b also as b in a map a; the flag is --key with '-' for '_' and '.'
  std::string_view variable;       // DSOCR_…
  std::string_view value_name;     // ADDR, DIR, DURATION, …
  std::string_view default_words;  // for a person
  std::string_view help;
  bool is_list = false;        // may be given more than once; commas in the variable
  bool is_reloadable = false;  // SIGHUP takes it; others need a restart
  std::vector<std::string> (*default_values)(const Surroundings&) = nullptr;
  // INVALID_ARGUMENT says what the value should look like, without naming the setting.
  absl::Status (*apply)(const std::vector<std::string>& values, Config* config) = nullptr;
};

const std::vector<Setting>& Settings();

std::string FlagOf(const Setting& setting);  // "--artifacts-dir"

// 127.0.0.0/8, [::1], and localhost, the one name that RFC 6761 keeps for them.
bool IsLoopback(std::string_view host);

// A setting's text before it is understood, and who gave it: "default", "DSOCR_STORE", "--store",
// "/etc/dsocr/dsocrd.yaml:3".
struct Origin {
  std::vector<std::string> values;
  std::string given_by;
};
using Origins = std::map<std::string, Origin, std::less<>>;  // by Setting::key, complete

struct Resolved {
  Config config;
  Origins origins;
};

// Flags beat variables beat the file beats the defaults. `flags` has only what was given; `config_file` is empty for
// none. INVALID_ARGUMENT names the setting, its value and who gave it; an unknown key of the file is an error with a
// suggestion.
absl::StatusOr<Resolved> Resolve(const std::map<std::string, std::vector<std::string>>& flags,
                                 const std::string& config_file, const Surroundings& surroundings);

// The configuration as a YAML file that gives the same one, with the origin of each value behind it.
std::string PrintConfig(const Resolved& resolved);

// Compares two configurations: `taken` are the keys that a reload puts into effect, `refused` those that need a
// restart.
struct ReloadOutcome {
  std::vector<std::string> taken;
  std::vector<std::string> refused;
};
ReloadOutcome CompareForReload(const Resolved& before, const Resolved& after);

// `before` with the reloadable settings of `after`.
Resolved TakeReloadable(const Resolved& before, const Resolved& after);

}  // namespace dsocr::config

#endif  // DSOCR_DAEMON_CONFIG_SETTINGS_H_
