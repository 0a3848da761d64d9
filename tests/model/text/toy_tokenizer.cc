#include "tests/model/text/toy_tokenizer.h"

#include "model/text/byte_level.h"
#include "tests/scratch_directory.h"

namespace dsocr::model {

nlohmann::json ToyTokenizerJson() {
  nlohmann::json json = nlohmann::json::parse(R"({
    "normalizer": {"type": "Sequence", "normalizers": []},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\p{N}"}, "behavior": "Isolated", "invert": false},
      {"type": "Split", "pattern": {"Regex": " ?\\p{L}+"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "byte_fallback": false, "ignore_merges": false,
              "vocab": {"ab": 256, "abc": 257, "bc": 258, "Ġa": 259},
              "merges": [["a", "b"], ["b", "c"], ["ab", "c"], ["Ġ", "a"]]},
    "added_tokens": [
      {"id": 300, "content": "<s>", "special": true, "normalized": false},
      {"id": 301, "content": "<image>", "special": false, "normalized": false},
      {"id": 302, "content": "<image>2", "special": false, "normalized": true}]})");
  for (int byte = 0; byte < 256; ++byte) {
    json["model"]["vocab"][ByteToCharacter(static_cast<uint8_t>(byte))] = byte;
  }
  return json;
}

Tokenizer LoadToy(const nlohmann::json& json) {
  const ScratchDirectory directory;
  directory.Write("tokenizer.json", json.dump());
  return Tokenizer::Load(directory.path());
}

}  // namespace dsocr::model
