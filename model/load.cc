#include "model/load.h"

#include "model/weights/checkpoint.h"
#include "model/weights/random.h"

namespace dsocr::model {

LoadedModel LoadModel(const ModelConfig& config, const std::optional<std::filesystem::path>& dir, uint64_t seed,
                      at::ScalarType dtype, at::Device device) {
  const std::vector<WeightSpec> specs = ListWeights(config);
  LoadedModel loaded;
  for (const WeightSpec& spec : specs) loaded.parameters += spec.numel();
  loaded.weight_bytes = loaded.parameters * static_cast<int64_t>(c10::elementSize(dtype));
  loaded.model = std::make_unique<DeepseekOcr>(
      config, dir ? LoadCheckpoint(*dir, specs, dtype, device) : MakeRandomWeights(specs, seed, dtype, device), dtype,
      device);
  return loaded;
}

}  // namespace dsocr::model
