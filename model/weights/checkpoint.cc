#include "model/weights/checkpoint.h"

#include <ATen/ATen.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "model/error.h"
#include "model/weights/safetensors.h"

namespace dsocr::model {
namespace {

namespace fs = std::filesystem;

constexpr char kSingleName[] = "model.safetensors";
constexpr char kIndexName[] = "model.safetensors.index.json";

[[noreturn]] void Fail(const fs::path& path, const std::string& why) {
  throw InputError(ErrorCode::kInvalidArgument, "weights '" + path.string() + "'", why,
                   "take weights and config.json of the same model");
}

std::string ShapeText(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i]);
  }
  text += ']';
  return text;
}

// All tensors of a directory and the file that holds each.
class Shards {
 public:
  explicit Shards(const fs::path& dir) {
    const fs::path index = dir / kIndexName;
    if (fs::exists(index)) {
      OpenIndexed(dir, index);
    } else {
      const SafetensorsFile& file = files_.emplace(kSingleName, SafetensorsFile::Open(dir / kSingleName)).first->second;
      for (const auto& [name, entry] : file.entries()) owner_.emplace(name, &file);
    }
  }

  const std::unordered_map<std::string, const SafetensorsFile*>& owner() const { return owner_; }

 private:
  void OpenIndexed(const fs::path& dir, const fs::path& index) {
    std::ifstream stream(index, std::ios::binary);
    const nlohmann::json json = nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
      Fail(index, "not a JSON object with a 'weight_map'");
    }
    for (const auto& [name, shard] : json["weight_map"].items()) {
      if (!shard.is_string()) Fail(index, "the shard of tensor '" + name + "' is not a file name");
      const std::string file_name = shard.get<std::string>();
      if (file_name.empty() || file_name == ".." || fs::path(file_name).filename() != file_name) {
        Fail(index, "shard '" + file_name + "' of tensor '" + name + "' is not a name in the same directory");
      }
      auto found = files_.find(file_name);
      if (found == files_.end()) {
        if (!fs::exists(dir / file_name)) {
          throw InputError(ErrorCode::kNotFound, "weights '" + index.string() + "'",
                           "shard '" + file_name + "' with tensor '" + name + "' is missing", "fetch the missing file");
        }
        found = files_.emplace(file_name, SafetensorsFile::Open(dir / file_name)).first;
      }
      if (!found->second.entries().contains(name)) {
        Fail(index, "tensor '" + name + "' is not in its shard '" + file_name + "'");
      }
      owner_.emplace(name, &found->second);
    }
  }

  std::map<std::string, SafetensorsFile> files_;
  std::unordered_map<std::string, const SafetensorsFile*> owner_;
};

void Check(const WeightSpec& spec, const SafetensorsFile& file) {
  const TensorEntry& entry = file.entries().at(spec.name);
  if (entry.shape != spec.shape) {
    Fail(file.path(),
         "tensor '" + spec.name + "' has shape " + ShapeText(entry.shape) + ", expected " + ShapeText(spec.shape));
  }
  if (entry.dtype != at::kFloat && entry.dtype != at::kHalf && entry.dtype != at::kBFloat16) {
    Fail(file.path(),
         "tensor '" + spec.name + "' is stored as " + c10::toString(entry.dtype) + ", expected bf16, fp16 or fp32");
  }
}

}  // namespace

WeightMap LoadCheckpoint(const fs::path& dir, const std::vector<WeightSpec>& specs, at::ScalarType dtype,
                         at::Device device) {
  const Shards shards(dir);
  std::unordered_set<std::string> expected = {kPositionIdsName};
  for (const WeightSpec& spec : specs) {
    const auto found = shards.owner().find(spec.name);
    if (found == shards.owner().end()) Fail(dir, "tensor '" + spec.name + "' is missing");
    Check(spec, *found->second);
    expected.insert(spec.name);
  }
  for (const auto& [name, file] : shards.owner()) {
    if (!expected.contains(name))
      Fail(file->path(), "tensor '" + name + "' is not part of the model that config.json describes");
  }
  WeightMap weights;
  for (const WeightSpec& spec : specs) {
    weights.Put(spec.name, shards.owner().at(spec.name)->Read(spec.name).to(device, dtype));
  }
  return weights;
}

}  // namespace dsocr::model
