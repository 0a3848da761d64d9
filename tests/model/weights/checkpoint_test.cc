#include "model/weights/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/weights/safetensors_fake.h"
#include "tests/scratch_directory.h"

namespace dsocr::model {
namespace {

using ::testing::HasSubstr;

const std::vector<WeightSpec> kTwo = {{.name = "a", .shape = {2}}, {.name = "b", .shape = {1, 2}}};

constexpr char kA[] = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
constexpr char kB[] = R"("b":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]})";

std::string ErrorOf(const ScratchDirectory& dir) {
  try {
    LoadCheckpoint(dir.path(), kTwo, at::kFloat, at::kCPU);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string Object(const std::string& members) { return "{" + members + "}"; }

TEST(CheckpointTest, ConvertsEveryStoredFloat) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "model.safetensors", Object(std::string(kA) + "," + kB), 12);
  WeightMap weights = LoadCheckpoint(dir.path(), kTwo, at::kBFloat16, at::kCPU);
  EXPECT_EQ(weights.Take("a").scalar_type(), at::kBFloat16);
  EXPECT_EQ(weights.Take("b").scalar_type(), at::kBFloat16);
}

TEST(CheckpointTest, ReadsShardsByIndex) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "1.safetensors", Object(kA), 8);
  WriteSafetensors(dir / "2.safetensors", R"({"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}})", 4);
  dir.Write("model.safetensors.index.json", R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  EXPECT_EQ(LoadCheckpoint(dir.path(), kTwo, at::kFloat, at::kCPU).tensors().size(), 2u);
}

TEST(CheckpointTest, NamesTheMissingTensor) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "model.safetensors", Object(kA), 8);
  EXPECT_THAT(ErrorOf(dir), HasSubstr("tensor 'b' is missing"));
}

TEST(CheckpointTest, NamesTheOddTensor) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "model.safetensors",
                   Object(std::string(kA) + "," + kB + R"(,"c":{"dtype":"U8","shape":[0],"data_offsets":[12,12]})"),
                   12);
  EXPECT_THAT(ErrorOf(dir), HasSubstr("tensor 'c' is not part of the model"));
}

TEST(CheckpointTest, AcceptsTheBufferOfPublishedCheckpoints) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "model.safetensors",
                   Object(std::string(kA) + "," + kB + R"(,"model.vision_model.embeddings.position_ids":)" +
                          R"({"dtype":"I64","shape":[1,1],"data_offsets":[12,20]})"),
                   20);
  EXPECT_EQ(ErrorOf(dir), "");
}

TEST(CheckpointTest, NamesTheWrongShape) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "model.safetensors",
                   Object(std::string(kA) + R"(,"b":{"dtype":"F16","shape":[2,1],"data_offsets":[8,12]})"), 12);
  EXPECT_THAT(ErrorOf(dir), HasSubstr("tensor 'b' has shape [2,1], expected [1,2]"));
}

TEST(CheckpointTest, NamesTheDtypeThatIsNoFloat) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "model.safetensors",
                   Object(std::string(kA) + R"(,"b":{"dtype":"I16","shape":[1,2],"data_offsets":[8,12]})"), 12);
  EXPECT_THAT(ErrorOf(dir), HasSubstr("tensor 'b' is stored as Short"));
}

TEST(CheckpointTest, NamesTheMissingShard) {
  const ScratchDirectory dir;
  WriteSafetensors(dir / "1.safetensors", Object(kA), 8);
  dir.Write("model.safetensors.index.json", R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  EXPECT_THAT(ErrorOf(dir), HasSubstr("shard '2.safetensors' with tensor 'b' is missing"));
}

TEST(CheckpointTest, RefusesShardsOutsideOfTheDirectory) {
  const ScratchDirectory dir;
  dir.Write("model.safetensors.index.json", R"({"weight_map":{"a":"../x","b":"/etc/passwd"}})");
  EXPECT_THAT(ErrorOf(dir), HasSubstr("is not a name in the same directory"));
}

TEST(CheckpointTest, RefusesAnIndexThatIsNone) {
  const ScratchDirectory dir;
  dir.Write("model.safetensors.index.json", "{");
  EXPECT_THAT(ErrorOf(dir), HasSubstr("not a JSON object with a 'weight_map'"));
}

}  // namespace
}  // namespace dsocr::model
