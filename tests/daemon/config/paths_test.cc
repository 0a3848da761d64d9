#include "daemon/config/paths.h"

#include "gtest/gtest.h"

namespace dsocr::config {
namespace {

// An uid that no machine has, so that /run/user/UID is not there.
constexpr uid_t kNobodysUid = 3999999999;

TEST(PathsTest, SocketDirIsTheRuntimeDirOfTheSession) {
  EXPECT_EQ(DefaultSocketDir({.environment = {{"XDG_RUNTIME_DIR", "/run/user/7"}}, .uid = 7}), "/run/user/7/dsocr");
}

TEST(PathsTest, SocketDirFallsBackToTmpWithTheUid) {
  EXPECT_EQ(DefaultSocketDir({.environment = {}, .uid = kNobodysUid}), "/tmp/dsocr-3999999999");
}

TEST(PathsTest, RelativeRuntimeDirCountsAsUnset) {
  EXPECT_EQ(DefaultSocketDir({.environment = {{"XDG_RUNTIME_DIR", "run"}}, .uid = kNobodysUid}),
            "/tmp/dsocr-3999999999");
}

TEST(PathsTest, StateDirPrefersXdgThenHome) {
  EXPECT_EQ(StateDir({.environment = {{"XDG_STATE_HOME", "/s"}, {"HOME", "/h"}}}), "/s/dsocr");
  EXPECT_EQ(StateDir({.environment = {{"HOME", "/h"}}}), "/h/.local/state/dsocr");
}

}  // namespace
}  // namespace dsocr::config
