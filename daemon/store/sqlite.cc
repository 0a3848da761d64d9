#include "daemon/store/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::store {

Query::Query(Query&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bound_(other.bound_),
      bind_failed_(other.bind_failed_) {}

Query::~Query() {
  if (statement_ != nullptr) {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
}

Query& Query::Bind(std::string_view text) {
  bind_failed_ |= sqlite3_bind_text64(statement_, ++bound_, text.data() != nullptr ? text.data() : "", text.size(),
                                      SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK;
  return *this;
}

Query& Query::BindOptional(const std::optional<std::string>& text) {
  if (text) {
    return Bind(std::string_view(*text));
  }
  bind_failed_ |= sqlite3_bind_null(statement_, ++bound_) != SQLITE_OK;
  return *this;
}

Query& Query::Bind(int64_t number) {
  bind_failed_ |= sqlite3_bind_int64(statement_, ++bound_, number) != SQLITE_OK;
  return *this;
}

Query& Query::Bind(std::optional<double> number) {
  bind_failed_ |= (number ? sqlite3_bind_double(statement_, ++bound_, *number)
                          : sqlite3_bind_null(statement_, ++bound_)) != SQLITE_OK;
  return *this;
}

Query& Query::BindBlob(std::string_view bytes) {
  bind_failed_ |= sqlite3_bind_blob64(statement_, ++bound_, bytes.data() != nullptr ? bytes.data() : "", bytes.size(),
                                      SQLITE_STATIC) != SQLITE_OK;
  return *this;
}

absl::StatusOr<bool> Query::Next() {
  if (bind_failed_) {
    return absl::InvalidArgumentError(
        fmt::format("store '{}': a value is too large for it; shorten it", database_->name()));
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code == SQLITE_DONE) {
    return false;
  }
  return database_->Error(code);
}

absl::Status Query::Run() {
  for (;;) {
    DSOCR_ASSIGN_OR_RETURN(const bool more, Next());
    if (!more) {
      return absl::OkStatus();
    }
  }
}

std::string Query::Text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

int64_t Query::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Query::Real(int column) const { return sqlite3_column_double(statement_, column); }
bool Query::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, std::string name) {
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(connection, std::move(name)));
  if (code != SQLITE_OK) {
    return database->Error(code);
  }
  sqlite3_extended_result_codes(connection, 1);
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) {
    sqlite3_finalize(statement);
  }
  sqlite3_close(connection_);
}

absl::Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::StatusOr<Query> Database::Prepare(std::string_view sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) {
      return Error(code);
    }
    found = statements_.emplace(std::string(sql), statement).first;
  }
  return Query(this, found->second);
}

absl::StatusOr<int64_t> Database::Pragma(const char* name) {
  DSOCR_ASSIGN_OR_RETURN(Query query, Prepare(fmt::format("PRAGMA {}", name)));
  DSOCR_ASSIGN_OR_RETURN(const bool answered, query.Next());
  return answered ? query.Int(0) : 0;
}

absl::Status Database::Error(int code) const {
  const std::string what = fmt::format("store '{}'", name_);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(what + ": another process holds it; try again when that has ended");
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(what + ": its disk is full; free space there or choose another --store");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(what +
                                 ": damaged, or no SQLite database; restore a copy, or move it away and start again");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(what +
                                         ": cannot be opened for writing; change its mode or choose another --store");
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(what + ": holds this id already; choose another");
    default:
      return absl::InternalError(
          fmt::format("{}: {} ({}); see the daemon's log", what, sqlite3_errstr(code), sqlite3_errmsg(connection_)));
  }
}

}  // namespace dsocr::store
