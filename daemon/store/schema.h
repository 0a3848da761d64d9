// The tables of a store file, and how one of any earlier version becomes one of today's.
#ifndef DSOCR_DAEMON_STORE_SCHEMA_H_
#define DSOCR_DAEMON_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "daemon/store/sqlite.h"

namespace dsocr::store {

// PRAGMA user_version of a file this program writes. On disk.
int SchemaVersion();

// Brings the file to SchemaVersion() in one transaction. FAILED_PRECONDITION for a file of another program, or of a
// newer version.
absl::Status Migrate(Database* database);

}  // namespace dsocr::store

#endif  // DSOCR_DAEMON_STORE_SCHEMA_H_
