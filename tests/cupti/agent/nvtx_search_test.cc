#include "cupti/agent/nvtx_search.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <nvtx3/nvToolsExt.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/scratch_directory.h"

namespace dsocr::agent {
namespace {

std::vector<const void* (*)(uint32_t)> Find() {
  static std::vector<const void* (*)(uint32_t)> all;
  all.clear();
  FindNvtx([](const void* (*get_export_table)(uint32_t), Code code) {
    const auto address = reinterpret_cast<uintptr_t>(get_export_table);
    EXPECT_TRUE(address >= code.begin && address < code.end);
    all.push_back(get_export_table);
  });
  return all;
}

TEST(NvtxSearch, FindsTheHiddenFunctionOfThisProgram) {
  nvtxRangePop();  // so that there is NVTX in it
  const auto found = Find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0](NVTX_ETID_CALLBACKS), NVTX_VERSIONED_IDENTIFIER(nvtxGetExportTable)(NVTX_ETID_CALLBACKS));
}

// This program's file with some of what describes it changed, mapped as it is itself.
TEST(NvtxSearch, AFileThatIsDamagedOrNotLoadedHasNone) {
  const ScratchDirectory directory;
  std::ifstream self("/proc/self/exe", std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(self), {}};
  Elf64_Ehdr header;
  std::memcpy(&header, good.data(), sizeof(header));
  const Elf64_Phdr* const segments = reinterpret_cast<const Elf64_Phdr*>(good.data() + header.e_phoff);
  const Elf64_Phdr* const code = std::find_if(segments, segments + header.e_phnum, [](const Elf64_Phdr& segment) {
    return segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0;
  });
  const std::string path = directory.Write("damaged", good);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  const off_t offset = static_cast<off_t>(code->p_offset) & ~(sysconf(_SC_PAGESIZE) - 1);
  void* const mapping = mmap(nullptr, code->p_filesz, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, offset);
  ASSERT_NE(mapping, MAP_FAILED);
  EXPECT_EQ(Find().size(), 1u) << "the copy is whole, but nobody has loaded it";

  uint64_t random = 88172645463325252u;
  for (int i = 0; i < 300; ++i) {
    for (const auto& [begin, size] : {std::pair<uint64_t, uint64_t>{0, sizeof(header)},
                                      {header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr)},
                                      {header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr)}}) {
      for (int k = 0; k < 4; ++k) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;  // xorshift64
        const auto place = static_cast<off_t>(begin + random % size);
        const char byte = static_cast<char>(random >> 32);
        ASSERT_EQ(pwrite(fd, &byte, 1, place), 1);
      }
    }
    EXPECT_EQ(Find().size(), 1u);
    ASSERT_EQ(pwrite(fd, good.data(), sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
    for (const auto& [begin, size] :
         {std::pair<uint64_t, uint64_t>{header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr)},
          {header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr)}}) {
      if (i % 2 == 0) {
        ASSERT_EQ(pwrite(fd, good.data() + begin, size, static_cast<off_t>(begin)), static_cast<ssize_t>(size));
      }
    }
  }
  munmap(mapping, code->p_filesz);
  close(fd);
}

}  // namespace
}  // namespace dsocr::agent
