#include "daemon/catalog/operator_snapshot.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "analytic/category.h"
#include "daemon/catalog/operator_class.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/scratch_directory.h"

namespace dsocr::catalog {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Layer(const std::string& qualified, const std::string& children = "") {
  const std::string name = qualified.substr(qualified.rfind('.') + 1);
  return fmt::format(
      R"({{"class_name": "{}", "class_name_qualified": "{}", "is_torch_builtin": {}, "children": [{}]}})", name,
      qualified, qualified.starts_with("torch.") ? "true" : "false", children);
}

std::string Layers(const std::string& layers) { return "{\"generated_at\": \"now\", \"layers\": [" + layers + "]}"; }

constexpr char kStages[] =
    R"({"generated_at": "now", "stages": {"sam": {"stage_name": "sam", "params": 1, "macs": 2}}})";

// qualified class name -> category
std::map<std::string, std::string> Classified(const v1::TargetOperatorList& list) {
  std::map<std::string, std::string> categories;
  for (const v1::OperatorSpec& spec : list.operators()) {
    categories[spec.class_name_qualified()] = spec.default_category_id();
  }
  return categories;
}

std::string ErrorOf(const std::string& json) { return std::string(ParseUniqueLayers(json).status().message()); }

TEST(CategoryOfClassName, GoesByTheFirstRuleThatFits) {
  const auto name_of = [](std::string_view class_name) {
    const std::optional<analytic::CategoryId> category = CategoryOfClassName(class_name);
    return category ? analytic::CategoryName(*category) : "none";
  };
  EXPECT_EQ(name_of("Linear"), "gemm");
  EXPECT_EQ(name_of("LlamaRotaryEmbedding"), "rope");
  EXPECT_EQ(name_of("Embedding"), "embedding");
  EXPECT_EQ(name_of("PatchEmbed"), "conv");
  EXPECT_EQ(name_of("LayerNorm2d"), "norm");
  EXPECT_EQ(name_of("GELU"), "activation");
  EXPECT_EQ(name_of("UpsamplingBilinear2d"), "interpolate");
  EXPECT_EQ(name_of("Block"), "none");
  EXPECT_EQ(name_of(""), "none");
}

TEST(ParseUniqueLayers, AClassWithoutATellingNameIsWhatItsChildrenAre) {
  const absl::StatusOr<v1::TargetOperatorList> list = ParseUniqueLayers(Layers(
      Layer("m.Outer", R"("m.Block", "m.Odd")") + "," + Layer("m.Block", R"("torch.nn.LayerNorm", "torch.nn.Linear")") +
      "," + Layer("torch.nn.LayerNorm") + "," + Layer("torch.nn.Linear") + "," + Layer("m.Odd")));
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(Classified(*list),
              ElementsAre(std::pair("m.Block", "gemm"), std::pair("m.Odd", "other"), std::pair("m.Outer", "gemm"),
                          std::pair("torch.nn.LayerNorm", "norm"), std::pair("torch.nn.Linear", "gemm")));
  EXPECT_TRUE(list->operators(3).is_pytorch_builtin());
  EXPECT_TRUE(list->operators(0).is_custom());
}

TEST(ParseUniqueLayers, TakesClassesThatHoldThemselves) {
  const absl::StatusOr<v1::TargetOperatorList> list =
      ParseUniqueLayers(Layers(Layer("a.List", R"("b.List")") + "," + Layer("b.List", R"("a.List", "b.List")")));
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(Classified(*list), ElementsAre(std::pair("a.List", "other"), std::pair("b.List", "other")));
}

TEST(ParseUniqueLayers, NamesThePlaceOfWhatIsWrong) {
  EXPECT_EQ(ErrorOf("{}"), "layers: 0 classes: a snapshot has 1 to 4096");
  EXPECT_EQ(ErrorOf(Layers(Layer("a.A") + "," + Layer("a.A"))),
            "layers[1].class_name_qualified: a.A: this class stands twice");
  EXPECT_EQ(ErrorOf(Layers(Layer("a.A", "\"b.B\""))),
            "layers[0].children[0]: b.B: no class of the snapshot has this name");
  EXPECT_EQ(ErrorOf(Layers("{\"class_name\": 3}")), "layers[0].class_name: 3: expected a string");
  EXPECT_EQ(ErrorOf(Layers("{}")), "layers[0].class_name: 0 bytes: a class name has 1 to 256");
  EXPECT_THAT(ErrorOf(Layers(Layer("a.A")).substr(0, 60)), HasSubstr("the document ends too early"));
  EXPECT_THAT(ErrorOf(Layers(Layer(std::string(300, 'x')))), HasSubstr("300 bytes"));
}

TEST(CategoriesOf, HasEachClassOnceAndEveryCategory) {
  const absl::StatusOr<v1::TargetOperatorList> list =
      ParseUniqueLayers(Layers(Layer("torch.nn.Linear") + "," + Layer("m.Odd")));
  ASSERT_TRUE(list.ok());
  const std::vector<v1::OperatorCategory> categories = CategoriesOf(*list);
  EXPECT_EQ(categories.size(), static_cast<size_t>(analytic::kCategoryCount));
  EXPECT_THAT(categories.front().match_classes(), ElementsAre("torch.nn.Linear"));
  EXPECT_EQ(categories.back().category_id(), "other");
  EXPECT_THAT(categories.back().match_classes(), ElementsAre("m.Odd"));
}

class SnapshotDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    Write(kLayersJson, Layers(Layer("torch.nn.Linear")));
    Write(kLayersMarkdown, "# Layers\n");
    Write(kStagesJson, kStages);
    Write(kSummary, "Layer\n");
  }

  void Write(std::string_view name, std::string_view text) { directory_.Write(name, text); }
  std::string Path(std::string_view name) const { return (directory_ / name).string(); }
  std::string Error() const { return std::string(LoadOperatorSnapshot(directory_.path()).status().message()); }

  ScratchDirectory directory_;
};

TEST_F(SnapshotDirectory, GivesAbsolutePathsAndADigestOfTheContents) {
  const absl::StatusOr<v1::TargetOperatorList> list = LoadOperatorSnapshot(directory_.path());
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->snapshot_id().size(), 64u);
  EXPECT_EQ(list->source_artifact_dir(), directory_.path().string());
  EXPECT_EQ(list->layers_json_path(), Path(kLayersJson));
  EXPECT_EQ(list->layers_md_path(), Path(kLayersMarkdown));
  EXPECT_EQ(list->stages_json_path(), Path(kStagesJson));

  // The time of making is no content; a class is.
  Write(kStagesJson, R"({"stages": {"sam": {"stage_name": "sam", "params": 1, "macs": 2}}, "generated_at": "later"})");
  EXPECT_EQ(LoadOperatorSnapshot(directory_.path())->snapshot_id(), list->snapshot_id());
  Write(kLayersJson, Layers(Layer("torch.nn.Linear") + "," + Layer("torch.nn.GELU")));
  EXPECT_NE(LoadOperatorSnapshot(directory_.path())->snapshot_id(), list->snapshot_id());
}

TEST_F(SnapshotDirectory, RoundTripsAsADocument) {
  const v1::TargetOperatorList list = *LoadOperatorSnapshot(directory_.path());
  for (const document::Format format : {document::Format::kJson, document::Format::kYaml}) {
    const auto write = format == document::Format::kJson ? document::ToJson : document::ToYaml;
    v1::TargetOperatorList read;
    ASSERT_EQ(document::Parse(write(list), format, /*allow_unknown=*/false, &read), absl::OkStatus());
    EXPECT_EQ(write(read), write(list));
  }
}

TEST_F(SnapshotDirectory, TakesWhatIsMissingFromTheSubstitutes) {
  std::filesystem::remove(Path(kStagesJson));
  EXPECT_THAT(*MissingArtifacts(directory_.path()), ElementsAre(kStagesJson));
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kStagesJson)), HasSubstr("dsocr-runner torchinfo")));
  directory_.Write("made/torchinfo-stages.json", kStages);
  const absl::StatusOr<ArtifactTexts> made = ReadArtifacts(Path("made"), *MissingArtifacts(directory_.path()));
  ASSERT_TRUE(made.ok()) << made.status();
  absl::StatusOr<v1::TargetOperatorList> list = LoadOperatorSnapshot(directory_.path(), *made);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->stages_json_path(), "");
  PlaceSubstitutes("/artifacts", &*list);
  EXPECT_EQ(list->stages_json_path(), "/artifacts/torchinfo-stages.json");
  EXPECT_EQ(list->layers_json_path(), Path(kLayersJson));
}

TEST_F(SnapshotDirectory, NamesTheFileThatIsWrong) {
  Write(kStagesJson, "{\"stages\": 3}");
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kStagesJson)), HasSubstr("stages: 3: expected an object")));
  Write(kStagesJson, "{}");
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kStagesJson)), HasSubstr("this key is missing")));
  Write(kStagesJson, kStages);
  Write(kLayersJson, "{\"layers\": [[");
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kLayersJson)), HasSubstr("layers[0]: […]")));
  std::ofstream(Path(kLayersJson)).seekp(100'000'000).put('}');
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kLayersJson)), HasSubstr("100000001 bytes, at most 16777216 are read")));
  std::filesystem::remove(Path(kLayersJson));
  std::filesystem::create_directory(Path(kLayersJson));
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kLayersJson)), HasSubstr("not a plain file")));
  std::filesystem::remove(Path(kLayersJson));
  ASSERT_EQ(mkfifo(Path(kLayersJson).c_str(), 0600), 0);
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(kLayersJson)), HasSubstr("not a plain file")));
}

TEST_F(SnapshotDirectory, MustBeADirectory) {
  EXPECT_THAT(std::string(LoadOperatorSnapshot("relative").status().message()), HasSubstr("not an absolute path"));
  EXPECT_THAT(std::string(LoadOperatorSnapshot(Path("none")).status().message()), HasSubstr("No such file"));
  EXPECT_THAT(std::string(LoadOperatorSnapshot(Path(kStagesJson)).status().message()), HasSubstr("not a directory"));
}

}  // namespace
}  // namespace dsocr::catalog
