// JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1) of messages as proto/document.h reads and writes them, by
// reflection, so that the two cannot drift apart.
#ifndef DSOCR_DAEMON_HTTP_SCHEMA_H_
#define DSOCR_DAEMON_HTTP_SCHEMA_H_

#include <string>

#include "daemon/http/field_rule.h"
#include "google/protobuf/descriptor.h"
#include "nlohmann/json.hpp"

namespace dsocr::http {

using Json = nlohmann::ordered_json;

// What is written has every key, and null where an optional is absent. What is read may leave keys out, has the rules
// of field_rule.h, and no unknown key.
enum class Direction { kWritten, kRead };

// Collects the schemas that others refer to: components.schemas of an OpenAPI document.
class SchemaSet {
 public:
  // `vocabulary` must outlive the set.
  explicit SchemaSet(const Vocabulary* vocabulary) : vocabulary_(*vocabulary) {}

  // {"$ref": …} to the schema of `type`, which joins the set with all that it refers to.
  Json Refer(const google::protobuf::Descriptor& type, Direction direction);

  const Json& components() const { return components_; }

 private:
  Json ObjectSchema(const google::protobuf::Descriptor& type, Direction direction);
  Json FieldSchema(const google::protobuf::FieldDescriptor& field, Direction direction);
  Json ValueSchema(const google::protobuf::FieldDescriptor& field, Direction direction);
  Json StringSchema(const FieldRule* rule) const;

  const Vocabulary& vocabulary_;
  Json components_ = Json::object();
};

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_SCHEMA_H_
