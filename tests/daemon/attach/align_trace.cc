// Prints where the operators of a kept trace are put, for comparison with what the job says of them itself.
//
// usage: align_trace records.dsocr
//
// A line an operator: start_ns, end_ns, name, module (empty: none), confidence, sizes of its first two tensors ("2,8,64
// 64,64", "-": not told). Exit 3: the model is not recognised.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "cupti/attribution/dictionary.h"
#include "cupti/record/trace_file.h"
#include "daemon/attach/place_operators.h"
#include "daemon/attach/recognise_operators.h"

namespace {

std::string SizesOf(const dsocr::record::OperatorShape& shape) {
  std::string text;
  for (int tensor = 0; tensor < 2; ++tensor) {
    for (int i = 0; i < std::min<int>(shape.rank[tensor], 5); ++i) {
      text += i > 0 ? "," : tensor > 0 ? " " : "";
      text += std::to_string(shape.sizes[tensor][i]);
    }
  }
  return text;
}

}  // namespace

int main(int count, char** arguments) {
  using namespace dsocr;
  std::FILE* file = count == 2 ? std::fopen(arguments[1], "rb") : nullptr;
  if (file == nullptr) {
    return 2;
  }
  std::vector<record::Record> records;
  record::TraceReader reader(file);
  for (auto block = reader.Next(); !block.empty(); block = reader.Next()) {
    records.insert(records.end(), block.begin(), block.end());
  }
  attach::CallCollector calls;
  calls.Consume(records);
  const absl::StatusOr<attach::RecognisedModel> model = calls.Recognise();
  if (!model.ok()) {
    std::fprintf(stderr, "%s\n", std::string(model.status().message()).c_str());
    return 3;
  }
  const attribution::Options no_options;
  attribution::Dictionary dictionary(no_options);
  const attach::ExpectedCalls expected = attach::ExpectCalls(model->model);
  std::map<int64_t, std::string> sizes;  // by start
  attach::OperatorPlacer placer(model->model, expected, [&](const attach::PlacedOperator& placed) {
    const record::Operation& operation = placed.operation.operation;
    const char* module = "";
    if (placed.depth > 0) {
      module =
          expected.modules[static_cast<size_t>(placed.place->modules[static_cast<size_t>(placed.depth) - 1])].c_str();
    }
    std::printf("%lld\t%lld\t%s\t%s\t%.4f\t%s\n", static_cast<long long>(operation.start_ns),
                static_cast<long long>(operation.end_ns), dictionary.Text(operation.name).c_str(), module,
                placed.confidence, sizes[operation.start_ns].c_str());
  });
  const record::OperatorShape* shape = nullptr;
  for (const record::Record& record : records) {
    if (record.kind == record::Kind::kNameDefinition) {
      dictionary.DefineName(record.name_definition);
    } else if (record.kind == record::Kind::kOperatorShape) {
      shape = &record.operator_shape;
    } else if (record.kind == record::Kind::kCpuOperation) {
      sizes[record.operation.start_ns] = shape != nullptr ? SizesOf(*shape) : "-";
      placer.Consume(record, dictionary.Text(record.operation.name), shape);
      shape = nullptr;
    }
  }
  for (uint32_t number = 0; number < record::kMaxThreads; ++number) {
    placer.EndThread(number);
  }
  return 0;
}
