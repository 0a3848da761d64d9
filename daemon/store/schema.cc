#include "daemon/store/schema.h"

#include <cstdint>
#include <iterator>

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::store {
namespace {

// PRAGMA application_id, "dsoc": tells our files from those of other programs. On disk: do not change.
constexpr int64_t kApplicationId = 0x64736f63;

// Step i leads from user_version i to i + 1. On disk: append, never edit.
// Blobs stand last in a row, so that reading the columns before them touches none of their pages.
constexpr const char* kSteps[] = {
    R"sql(
      CREATE TABLE report (
        seq INTEGER PRIMARY KEY,
        report_id TEXT NOT NULL UNIQUE,
        digest TEXT,
        created_at TEXT NOT NULL,
        model_variant TEXT NOT NULL,
        workload_profile_id TEXT NOT NULL,
        device TEXT NOT NULL,
        predicted_ms REAL,
        measured_ms REAL,
        ratio REAL,
        profile_run_id TEXT,
        summary BLOB NOT NULL,
        report BLOB NOT NULL
      ) STRICT;
      CREATE INDEX report_by_digest ON report (digest) WHERE digest IS NOT NULL AND measured_ms IS NULL;
      CREATE TABLE run (
        seq INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        finished INTEGER NOT NULL,
        run BLOB NOT NULL
      ) STRICT;
      CREATE INDEX run_unfinished ON run (seq) WHERE finished = 0;
      CREATE TABLE calibration (
        seq INTEGER PRIMARY KEY,
        calibration_id TEXT NOT NULL UNIQUE,
        device_name TEXT NOT NULL,
        dtype TEXT NOT NULL,
        driver TEXT NOT NULL,
        tool_version TEXT NOT NULL,
        json TEXT NOT NULL
      ) STRICT;
      CREATE INDEX calibration_by_key ON calibration (device_name, dtype, driver, tool_version);
    )sql",
    R"sql(
      CREATE TABLE validation (
        seq INTEGER PRIMARY KEY,
        validation_id TEXT NOT NULL UNIQUE,
        suite TEXT NOT NULL,
        verdict BLOB NOT NULL,
        repeats BLOB NOT NULL
      ) STRICT;
      CREATE INDEX validation_by_suite ON validation (suite, seq);
    )sql",
    R"sql(
      ALTER TABLE calibration ADD COLUMN torch_version TEXT NOT NULL DEFAULT '';
      DROP INDEX calibration_by_key;
      CREATE INDEX calibration_by_key ON calibration (device_name, dtype, driver, tool_version, torch_version);
    )sql",
};

absl::Status CheckOwner(Database* database) {
  DSOCR_ASSIGN_OR_RETURN(const int64_t application, database->Pragma("application_id"));
  if (application == kApplicationId) {
    return absl::OkStatus();
  }
  DSOCR_ASSIGN_OR_RETURN(Query tables, database->Prepare("SELECT count(*) FROM sqlite_schema"));
  DSOCR_RETURN_IF_ERROR(tables.Next().status());
  if (application != 0 || tables.Int(0) != 0) {
    return absl::FailedPreconditionError(
        fmt::format("store '{}': it is another program's database; choose another --store", database->name()));
  }
  return absl::OkStatus();
}

absl::Status Upgrade(Database* database) {
  DSOCR_RETURN_IF_ERROR(CheckOwner(database));
  DSOCR_ASSIGN_OR_RETURN(const int64_t version, database->Pragma("user_version"));
  if (version < 0 || version > SchemaVersion()) {
    return absl::FailedPreconditionError(fmt::format(
        "store '{}': its schema is version {}, this dsocrd knows {}; update dsocrd or choose another --store",
        database->name(), version, SchemaVersion()));
  }
  for (int64_t step = version; step < SchemaVersion(); ++step) {
    DSOCR_RETURN_IF_ERROR(database->Execute(kSteps[step]));
  }
  if (version == SchemaVersion()) {
    return absl::OkStatus();
  }
  return database->Execute(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, SchemaVersion()).c_str());
}

}  // namespace

int SchemaVersion() { return static_cast<int>(std::size(kSteps)); }

absl::Status Migrate(Database* database) {
  // The lock comes first, so that two daemons that start at once do not both upgrade.
  DSOCR_RETURN_IF_ERROR(database->Execute("BEGIN IMMEDIATE"));
  absl::Status upgraded = Upgrade(database);
  if (!upgraded.ok()) {
    database->Execute("ROLLBACK").IgnoreError();
    return upgraded;
  }
  return database->Execute("COMMIT");
}

}  // namespace dsocr::store
