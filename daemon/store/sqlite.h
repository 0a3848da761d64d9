// SQLite for one owner: a connection, its prepared statements, and errors as Status. Not thread-safe: the store's mutex
// guards it.
#ifndef DSOCR_DAEMON_STORE_SQLITE_H_
#define DSOCR_DAEMON_STORE_SQLITE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace dsocr::store {

class Database;

// One execution of a prepared statement. Parameters are bound in order; bound text is borrowed until the query is
// destroyed.
class Query {
 public:
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();

  Query& Bind(std::string_view text);
  Query& BindOptional(const std::optional<std::string>& text);
  Query& Bind(int64_t number);
  Query& Bind(std::optional<double> number);
  Query& BindBlob(std::string_view bytes);

  absl::StatusOr<bool> Next();  // whether there is a row; columns are valid until the following call
  absl::Status Run();           // to the end, whatever rows it gives

  std::string Text(int column) const;  // text or blob
  int64_t Int(int column) const;
  double Real(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  Query(Database* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}

  Database* database_;
  sqlite3_stmt* statement_;  // owned by the database; null after a move
  int bound_ = 0;
  bool bind_failed_ = false;
};

class Database {
 public:
  // Opens `path`, which must exist. `name` stands for it in error messages.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, std::string name);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  absl::Status Execute(const char* sql);                // any number of statements
  absl::StatusOr<Query> Prepare(std::string_view sql);  // compiled once for each text; one query of a text at a time
  absl::StatusOr<int64_t> Pragma(const char* name);     // one that answers with an integer

  const std::string& name() const { return name_; }
  absl::Status Error(int code) const;  // what `code`, the last call's result, means for the caller

 private:
  Database(sqlite3* connection, std::string name) : connection_(connection), name_(std::move(name)) {}

  sqlite3* connection_;
  std::string name_;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;  // by text
};

}  // namespace dsocr::store

#endif  // DSOCR_DAEMON_STORE_SQLITE_H_
