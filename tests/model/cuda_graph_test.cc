#include "model/cuda_graph.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/fake/fake_torch_cuda.h"

namespace dsocr::model {
namespace {

using ::testing::ElementsAre;

TEST(CudaGraph, CapturesIntoThePoolAndReplays) {
  FakeTorchCudaCalls().clear();
  {
    const std::unique_ptr<DeviceGraph> graph = CudaGraphs()();
    graph->Capture([] { FakeTorchCudaCalls().push_back("body"); });
    graph->Replay();
  }
  EXPECT_THAT(FakeTorchCudaCalls(), ElementsAre("graph_pool_handle()", "CUDAGraph(0)", "graph.capture_begin({0, 7}, 1)",
                                                "body", "graph.capture_end()", "graph.replay()", "graph.~CUDAGraph()"));
}

TEST(CudaGraph, GraphsOfOneMakerShareAPool) {
  FakeTorchCudaCalls().clear();
  const MakeDeviceGraph make = CudaGraphs();
  make()->Capture([] {});
  make()->Capture([] {});
  const std::vector<std::string>& calls = FakeTorchCudaCalls();
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "graph_pool_handle()"), 1);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "graph.capture_begin({0, 7}, 1)"), 2);
}

#ifdef DSOCR_TORCH_CUDA_LIBRARY

// Names that a shared library defines for others, out of the file: to load this one takes all of CUDA.
std::set<std::string> ExportedBy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto read = [&](uint64_t offset, void* to, size_t size) {
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(static_cast<char*>(to), static_cast<std::streamsize>(size));
  };
  Elf64_Ehdr header = {};
  read(0, &header, sizeof(header));
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  read(header.e_shoff, sections.data(), sections.size() * sizeof(Elf64_Shdr));
  std::set<std::string> names;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    std::vector<Elf64_Sym> symbols(section.sh_size / sizeof(Elf64_Sym));
    read(section.sh_offset, symbols.data(), section.sh_size);
    std::string text(sections[section.sh_link].sh_size, '\0');
    read(sections[section.sh_link].sh_offset, text.data(), text.size());
    for (const Elf64_Sym& symbol : symbols) {
      if (symbol.st_shndx != SHN_UNDEF) names.insert(text.c_str() + symbol.st_name);
    }
  }
  return names;
}

TEST(CudaGraph, EverySymbolIsExportedByTheLibrary) {
  const std::set<std::string> exported = ExportedBy(DSOCR_TORCH_CUDA_LIBRARY);
  ASSERT_GT(exported.size(), 1000u) << DSOCR_TORCH_CUDA_LIBRARY;
  ASSERT_EQ(CudaGraphSymbols().size(), 6u);
  for (const char* symbol : CudaGraphSymbols()) EXPECT_TRUE(exported.contains(symbol)) << symbol;
}

#endif

}  // namespace
}  // namespace dsocr::model
