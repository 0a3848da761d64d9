// Where dsocrd keeps its socket, its store and its files when nobody says otherwise (the same rule as dsocrctl's).
#ifndef DSOCR_DAEMON_CONFIG_PATHS_H_
#define DSOCR_DAEMON_CONFIG_PATHS_H_

#include <sys/types.h>

#include <map>
#include <string>

namespace dsocr::config {

// The outside world as the configuration sees it; a test hands in its own.
struct Surroundings {
  std::map<std::string, std::string> environment;
  uid_t uid = 0;
  std::string executable_dir;  // absolute; where dsocrd itself is

  static Surroundings OfThisProcess();
};

// $XDG_RUNTIME_DIR/dsocr, else /run/user/UID/dsocr if /run/user/UID is ours, else /tmp/dsocr-UID.
std::string DefaultSocketDir(const Surroundings& surroundings);

// $XDG_STATE_HOME/dsocr, else $HOME/.local/state/dsocr, else /tmp/dsocr-UID/state.
std::string StateDir(const Surroundings& surroundings);

}  // namespace dsocr::config

#endif  // DSOCR_DAEMON_CONFIG_PATHS_H_
