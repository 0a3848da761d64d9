// From the modules of a job, as their framework names them, to the nodes of our module tree.
//
// A map is a table, one line a module: attribute path, colon, instance id. docs/attach.md has the format for those who
// write one; the built-in maps below are written in it.
//
//   model.sam_model.blocks.{i}.attn.qkv: vision/sam/block[{i}]/attn/qkv
//   model.layers.{i}.mlp: {phase}/layer[{i}]/mlp
//   model.layers.{i}.mlp: {phase}/layer[{i}]/moe
//   model.layers.{i}.mlp.experts.{e}.**: {phase}/layer[{i}]/moe/experts
//
// A module that no line names is part of the one around it. Values; safe from any thread.
#ifndef DSOCR_DAEMON_ATTACH_MODULE_MAP_H_
#define DSOCR_DAEMON_ATTACH_MODULE_MAP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace dsocr::attach {

// What stands in a target for the stage of the language model that a call turns out to be.
inline constexpr std::string_view kPhase = "{phase}";
enum class Phase : uint8_t { kPrefill, kDecode };

// "{phase}/norm" -> "decode/norm". Text without it is unchanged.
std::string InPhase(std::string_view target, Phase phase);

class ModuleMap {
 public:
  static constexpr size_t kMaxBytes = 256 << 10;
  static constexpr size_t kMaxLines = 4096;

  // INVALID_ARGUMENT names `name`, the line and what stands there.
  static absl::StatusOr<ModuleMap> Parse(std::string_view text, std::string name);

  // Says whether an instance id, its phase filled in, is a node of the model at hand.
  using IsNode = std::function<bool(const std::string& instance_id)>;

  // The target of the first line that fits `path` and is a node in either phase; "{phase}" still stands in it. Empty:
  // there is none. `path` is relative to the model's root, whose own is "".
  std::string Find(std::string_view path, const IsNode& is_node) const;

  // The path of the first line with this very target; empty: there is none.
  std::string PathTo(std::string_view target) const;

  // INVALID_ARGUMENT names the line whose target is no node for any index. `node_of_range`: of Prediction or
  // ModuleTree.
  absl::Status CheckTargets(const absl::flat_hash_map<std::string, int>& node_of_range) const;

  const std::string& name() const { return name_; }

 private:
  struct Line {
    int number = 0;
    std::vector<std::string> words;  // of the pattern
    std::string target;
  };

  static absl::StatusOr<Line> ParseLine(std::string_view text, int number);

  std::string name_;
  std::vector<Line> lines_;
};

// In the order in which they are tried: the published modules of DeepSeek-OCR, DeepSeek-OCR-2 of transformers,
// DeepSeek-OCR of vLLM.
const std::vector<ModuleMap>& BuiltInMaps();

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_MODULE_MAP_H_
