#include "daemon/config/settings.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/suggest.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "yaml-cpp/yaml.h"

namespace dsocr::config {
namespace {

using Values = std::vector<std::string>;

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kSqlitePrefix = "sqlite:";
constexpr std::uintmax_t kMaxConfigFileBytes = 1 << 20;  // a configuration is a page; anything larger is another file

absl::Status Unfit(std::string_view expected) { return absl::InvalidArgumentError(std::string(expected)); }

absl::Status ApplyPath(const std::string& value, std::string* out) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(value, error);
  if (value.empty() || error) {
    return Unfit("expected a path");
  }
  *out = path.lexically_normal().string();
  return absl::OkStatus();
}

absl::Status ApplyDuration(const std::string& value, absl::Duration* out) {
  if (!absl::ParseDuration(value, out) || *out <= absl::ZeroDuration()) {
    return Unfit("expected a positive duration such as 500ms, 10s or 15m");
  }
  return absl::OkStatus();
}

absl::Status ApplyBool(const std::string& value, bool* out) {
  if (value != "true" && value != "false") {
    return Unfit("expected true or false");
  }
  *out = value == "true";
  return absl::OkStatus();
}

absl::Status ApplyUnixAddress(const std::string& value, std::string* out) {
  std::string path;
  DSOCR_RETURN_IF_ERROR(ApplyPath(value.substr(kUnixPrefix.size()), &path));
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Unfit(fmt::format("a socket path has at most {} bytes", sizeof(sockaddr_un::sun_path) - 1));
  }
  *out = fmt::format("{}{}", kUnixPrefix, path);
  return absl::OkStatus();
}

absl::Status CheckTcpAddress(std::string_view address, std::string_view expected) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(absl::string_view(address.data() + colon + 1, address.size() - colon - 1), &port) ||
      port > UINT16_MAX) {
    return Unfit(expected);
  }
  if (!IsLoopback(address.substr(0, colon))) {
    return Unfit("a TCP listener outside loopback needs TLS, which belongs to a later release");
  }
  return absl::OkStatus();
}

absl::Status ApplyListen(const Values& values, Config* config) {
  config->listen.clear();
  for (const std::string& value : values) {
    std::string address = value;
    DSOCR_RETURN_IF_ERROR(value.starts_with(kUnixPrefix) ? ApplyUnixAddress(value, &address)
                                                         : CheckTcpAddress(value, "expected unix:PATH or HOST:PORT"));
    config->listen.push_back(std::move(address));
  }
  return absl::OkStatus();
}

absl::Status ApplyStore(const Values& values, Config* config) {
  const std::string& url = values.front();
  if (url.starts_with("postgresql:") || url.starts_with("postgres:")) {
    return Unfit("PostgreSQL belongs to a later release; use sqlite:PATH");
  }
  std::string path;
  if (!url.starts_with(kSqlitePrefix) || !ApplyPath(url.substr(kSqlitePrefix.size()), &path).ok()) {
    return Unfit("expected sqlite: and a path");
  }
  config->store = fmt::format("{}{}", kSqlitePrefix, path);
  return absl::OkStatus();
}

// A port alone is on loopback: ":8080", "8080".
absl::Status ApplyHttp(const Values& values, Config* config) {
  std::string address = values.front();
  if (address.empty() || address == "off") {
    config->http.clear();
    return absl::OkStatus();
  }
  if (const size_t colon = address.find(':'); colon == 0 || colon == std::string::npos) {
    address = fmt::format("127.0.0.1:{}", address.substr(colon + 1));  // npos + 1 is 0: the port alone
  }
  DSOCR_RETURN_IF_ERROR(CheckTcpAddress(address, "expected HOST:PORT, a port alone, or off"));
  config->http = std::move(address);
  return absl::OkStatus();
}

Values StateFile(const Surroundings& surroundings, std::string_view name) {
  return {fmt::format("{}/{}", StateDir(surroundings), name)};
}

Values Beside(const Surroundings& surroundings, std::string_view name) {
  return {fmt::format("{}/{}", surroundings.executable_dir, name)};
}

std::vector<Setting> MakeSettings() {
  return {
      {.key = "listen",
       .variable = "DSOCR_LISTEN",
       .value_name = "ADDR",
       .default_words = "unix:$XDG_RUNTIME_DIR/dsocr/dsocrd.sock",
       .help = "serve gRPC on unix:PATH or, on loopback, HOST:PORT; may be repeated",
       .is_list = true,
       .default_values =
           [](const Surroundings& s) { return Values{fmt::format("unix:{}/dsocrd.sock", DefaultSocketDir(s))}; },
       .apply = ApplyListen},
      {.key = "store",
       .variable = "DSOCR_STORE",
       .value_name = "URL",
       .default_words = "sqlite:$XDG_STATE_HOME/dsocr/dsocr.db",
       .help = "where reports, runs and calibrations are kept: sqlite:PATH",
       .default_values = [](const Surroundings& s) { return Values{"sqlite:" + StateFile(s, "dsocr.db").front()}; },
       .apply = ApplyStore},
      {.key = "artifacts_dir",
       .variable = "DSOCR_ARTIFACTS_DIR",
       .value_name = "DIR",
       .default_words = "$XDG_STATE_HOME/dsocr/profile-output",
       .help = "root of the artifacts of callers that name none, and of all callers over TCP",
       .is_reloadable = true,
       .default_values = [](const Surroundings& s) { return StateFile(s, "profile-output"); },
       .apply = [](const Values& values, Config* c) { return ApplyPath(values.front(), &c->artifacts_dir); }},
      {.key = "runner_path",
       .variable = "DSOCR_RUNNER_PATH",
       .value_name = "FILE",
       .default_words = "dsocr-runner beside dsocrd",
       .help = "the program that executes the model",
       .is_reloadable = true,
       .default_values = [](const Surroundings& s) { return Beside(s, "dsocr-runner"); },
       .apply = [](const Values& values, Config* c) { return ApplyPath(values.front(), &c->runner_path); }},
      {.key = "agent_path",
       .variable = "DSOCR_AGENT_PATH",
       .value_name = "FILE",
       .default_words = "libdsocr_agent.so beside dsocrd",
       .help = "the library that records inside the profiled process",
       .default_values = [](const Surroundings& s) { return Beside(s, "libdsocr_agent.so"); },
       .apply = [](const Values& values, Config* c) { return ApplyPath(values.front(), &c->agent_path); }},
      {.key = "idle_exit",
       .variable = "DSOCR_IDLE_EXIT",
       .value_name = "DURATION",
       .default_words = "never",
       .help = "end after so long without a call, a run or a launch",
       .is_reloadable = true,
       .default_values = [](const Surroundings&) { return Values{"never"}; },
       .apply =
           [](const Values& values, Config* c) {
             if (values.front() == "never") {
               c->idle_exit = absl::InfiniteDuration();
               return absl::OkStatus();
             }
             return ApplyDuration(values.front(), &c->idle_exit);
           }},
      {.key = "drain_deadline",
       .variable = "DSOCR_DRAIN_DEADLINE",
       .value_name = "DURATION",
       .default_words = "10s",
       .help = "how long calls and runs may still take after SIGTERM",
       .is_reloadable = true,
       .default_values = [](const Surroundings&) { return Values{"10s"}; },
       .apply = [](const Values& values, Config* c) { return ApplyDuration(values.front(), &c->drain_deadline); }},
      {.key = "runner_silence",
       .variable = "DSOCR_RUNNER_SILENCE",
       .value_name = "DURATION",
       .default_words = "10m",
       .help = "stop a runner that says nothing for so long",
       .is_reloadable = true,
       .default_values = [](const Surroundings&) { return Values{"10m"}; },
       .apply = [](const Values& values, Config* c) { return ApplyDuration(values.front(), &c->runner_silence); }},
      {.key = "analyzer.enabled",
       .variable = "DSOCR_ANALYZER_ENABLED",
       .value_name = "BOOL",
       .default_words = "true",
       .help = "let the static analyzer trace the model in a process of its own; false: closed formulas alone",
       .is_reloadable = true,
       .default_values = [](const Surroundings&) { return Values{"true"}; },
       .apply = [](const Values& values, Config* c) { return ApplyBool(values.front(), &c->analyzer_enabled); }},
      {.key = "log_file",
       .variable = "DSOCR_LOG_FILE",
       .value_name = "FILE",
       .default_words = "stderr",
       .help = "append the log to a file; SIGHUP opens it anew",
       .default_values = [](const Surroundings&) { return Values{""}; },
       .apply =
           [](const Values& values, Config* c) {
             return values.front().empty() ? absl::OkStatus() : ApplyPath(values.front(), &c->log_file);
           }},
      {.key = "http",
       .variable = "DSOCR_HTTP",
       .value_name = "ADDR",
       .default_words = "off",
       .help = "serve HTTP/JSON, /metrics and /healthz on loopback HOST:PORT, or a port alone",
       .default_values = [](const Surroundings&) { return Values{"off"}; },
       .apply = ApplyHttp},
  };
}

std::vector<std::string> Keys() {
  std::vector<std::string> keys;
  for (const Setting& setting : Settings()) {
    keys.emplace_back(setting.key);
  }
  return keys;
}

absl::Status BadFile(std::string_view path, std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("configuration '{}': {}; 'dsocrd --help' lists the settings", path, why));
}

absl::StatusOr<Values> FileValues(const YAML::Node& node, const Setting& setting, const std::string& where) {
  if (node.IsScalar()) {
    return Values{node.Scalar()};
  }
  const bool all_scalar =
      node.IsSequence() && std::all_of(node.begin(), node.end(), [](const auto& n) { return n.IsScalar(); });
  if (!setting.is_list || !all_scalar || node.size() == 0) {
    return BadFile(where, fmt::format("'{}' is not a {}", setting.key,
                                      setting.is_list ? "value or a list of values" : "plain value"));
  }
  Values values;
  for (const auto& item : node) {
    values.push_back(item.Scalar());
  }
  return values;
}

// The entries of a map into `origins`; a map inside has the keys "prefix.name".
absl::Status ReadEntries(const YAML::Node& map, const std::string& prefix, const std::string& path, Origins* origins) {
  for (const auto& entry : map) {
    const std::string where = fmt::format("{}:{}", path, entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) {
      return BadFile(where, "expected a name");
    }
    const std::string key = prefix + entry.first.Scalar();
    const auto setting =
        std::find_if(Settings().begin(), Settings().end(), [&](const Setting& s) { return s.key == key; });
    if (setting == Settings().end() && prefix.empty() && entry.second.IsMap()) {
      DSOCR_RETURN_IF_ERROR(ReadEntries(entry.second, key + ".", path, origins));
      continue;
    }
    if (setting == Settings().end()) {
      return BadFile(where, fmt::format("unknown key '{}'{}", key, DidYouMean(key, Keys())));
    }
    if (origins->contains(key)) {
      return BadFile(where, fmt::format("'{}' is there twice", key));
    }
    DSOCR_ASSIGN_OR_RETURN(Values values, FileValues(entry.second, *setting, where));
    origins->emplace(key, Origin{std::move(values), where});
  }
  return absl::OkStatus();
}

absl::StatusOr<Origins> ReadFile(const std::string& path) {
  std::error_code error;
  if (const std::uintmax_t size = std::filesystem::file_size(path, error); error) {
    return BadFile(path, error.message());
  } else if (size > kMaxConfigFileBytes) {
    return BadFile(path, fmt::format("{} bytes, expected at most {}", size, kMaxConfigFileBytes));
  }
  std::ifstream stream(path);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad() || !stream.is_open()) {
    return BadFile(path, "cannot be read");
  }
  Origins origins;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) {
      return origins;
    }
    if (!root.IsMap()) {
      return BadFile(path, "expected a map of settings");
    }
    DSOCR_RETURN_IF_ERROR(ReadEntries(root, "", path, &origins));
  } catch (const YAML::Exception& exception) {
    return BadFile(fmt::format("{}:{}", path, exception.mark.line + 1), exception.msg);
  }
  return origins;
}

Origin OriginOf(const Setting& setting, const std::map<std::string, Values>& flags, const Origins& file,
                const Surroundings& surroundings) {
  if (const auto flag = flags.find(std::string(setting.key)); flag != flags.end()) {
    return {flag->second, FlagOf(setting)};
  }
  const auto variable = surroundings.environment.find(std::string(setting.variable));
  if (variable != surroundings.environment.end() && !variable->second.empty()) {
    const Values values = setting.is_list ? Values(absl::StrSplit(variable->second, ',')) : Values{variable->second};
    return {values, std::string(setting.variable)};
  }
  if (const auto entry = file.find(setting.key); entry != file.end()) {
    return entry->second;
  }
  return {setting.default_values(surroundings), "default"};
}

}  // namespace

bool IsLoopback(std::string_view host) {
  in_addr address;
  const bool is_ipv4 = ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
  return host == "localhost" || host == "[::1]" || (is_ipv4 && ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET);
}

std::string FlagOf(const Setting& setting) {
  std::string flag = fmt::format("--{}", setting.key);
  const auto is_joint = [](char c) { return c == '_' || c == '.'; };
  std::replace_if(flag.begin() + 2, flag.end(), is_joint, '-');
  return flag;
}

const std::vector<Setting>& Settings() {
  static const auto* const settings = new std::vector<Setting>(MakeSettings());
  return *settings;
}

absl::StatusOr<Resolved> Resolve(const std::map<std::string, std::vector<std::string>>& flags,
                                 const std::string& config_file, const Surroundings& surroundings) {
  Origins file;
  if (!config_file.empty()) {
    DSOCR_ASSIGN_OR_RETURN(file, ReadFile(config_file));
  }
  Resolved resolved;
  for (const Setting& setting : Settings()) {
    Origin origin = OriginOf(setting, flags, file, surroundings);
    if (absl::Status applied = setting.apply(origin.values, &resolved.config); !applied.ok()) {
      return absl::InvalidArgumentError(fmt::format("{} '{}' (from {}): {}; 'dsocrd --help' lists the settings",
                                                    setting.key, fmt::join(origin.values, ","), origin.given_by,
                                                    std::string(applied.message())));
    }
    resolved.origins.emplace(setting.key, std::move(origin));
  }
  return resolved;
}

std::string PrintConfig(const Resolved& resolved) {
  std::string text;
  for (const Setting& setting : Settings()) {
    const Origin& origin = resolved.origins.find(setting.key)->second;
    YAML::Emitter value;
    value << YAML::Flow << YAML::DoubleQuoted;
    if (setting.is_list) {
      value << origin.values;
    } else {
      value << origin.values.front();
    }
    text += fmt::format("{}: {}  # {}\n", setting.key, value.c_str(), origin.given_by);
  }
  return text;
}

ReloadOutcome CompareForReload(const Resolved& before, const Resolved& after) {
  ReloadOutcome outcome;
  for (const Setting& setting : Settings()) {
    if (before.origins.find(setting.key)->second.values != after.origins.find(setting.key)->second.values) {
      (setting.is_reloadable ? outcome.taken : outcome.refused).emplace_back(setting.key);
    }
  }
  return outcome;
}

Resolved TakeReloadable(const Resolved& before, const Resolved& after) {
  Resolved taken = before;
  for (const Setting& setting : Settings()) {
    const Origin& origin = after.origins.find(setting.key)->second;
    if (setting.is_reloadable && setting.apply(origin.values, &taken.config).ok()) {
      taken.origins.find(setting.key)->second = origin;
    }
  }
  return taken;
}

}  // namespace dsocr::config
