#include "model/text/tokenize.h"

#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/text/tokenizer.h"

namespace dsocr::model {
namespace {

std::string ReadText(const std::string& line, int line_number) {
  const nlohmann::json request = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!request.is_object() || !request.contains("text") || !request.at("text").is_string()) {
    throw InputError(ErrorCode::kInvalidArgument, "line " + std::to_string(line_number),
                     "not a JSON object with a string 'text'", "give e.g. {\"text\": \"Free OCR.\"}");
  }
  return request.at("text");
}

}  // namespace

int RunTokenize(const std::string& tokenizer_dir, std::istream& in, std::ostream& out) {
  const Tokenizer tokenizer = Tokenizer::Load(tokenizer_dir);
  std::string line;
  for (int line_number = 1; std::getline(in, line); ++line_number) {
    if (line.empty()) {
      continue;
    }
    const std::vector<int64_t> ids = tokenizer.Encode(ReadText(line, line_number));
    nlohmann::ordered_json answer;
    answer["ids"] = ids;
    answer["decoded"] = tokenizer.Decode(ids, /*skip_special=*/false);
    out << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace dsocr::model
