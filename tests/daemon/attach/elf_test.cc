#include "daemon/attach/elf.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "daemon/attach/proc.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::attach {
namespace {

// Bytes that begin at `base`.
ElfImage::Reader ReaderOf(const std::string& bytes, uint64_t base = 0) {
  return [&bytes, base](uint64_t address, void* to, size_t size) {
    const uint64_t at = address - base;
    if (at > bytes.size() || size > bytes.size() - at) {
      return false;
    }
    std::memcpy(to, bytes.data() + at, size);
    return true;
  };
}

// The test agent as a file, and as it lies in this process.
class ElfTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream stream(DSOCR_TEST_AGENT, std::ios::binary);
    file_.assign(std::istreambuf_iterator<char>(stream), {});
    void* const library = ::dlopen(DSOCR_TEST_AGENT, RTLD_NOW);
    ASSERT_NE(library, nullptr) << ::dlerror();
    entry_ = reinterpret_cast<uint64_t>(::dlsym(library, "dsocr_agent_attach"));
    for (const Mapping& mapping : ReadMappings(::getpid())) {
      if (mapping.path == DSOCR_TEST_AGENT) {
        base_ = base_ == 0 ? mapping.begin : base_;
        memory_.append(reinterpret_cast<const char*>(mapping.begin), mapping.end - mapping.begin);
      }
    }
  }

  std::string file_;
  std::string memory_;
  uint64_t base_ = 0;
  uint64_t entry_ = 0;
};

TEST_F(ElfTest, FindsFunctionsWhereTheLoaderDoes) {
  const auto image = ElfImage::OfMemory(ReaderOf(memory_, base_), base_);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->FindFunction("dsocr_agent_attach"), entry_);
  EXPECT_EQ(image->FindFunction("dsocr_agent_attach2"), std::nullopt);
  EXPECT_EQ(image->FindFunction("pthread_create"), std::nullopt) << "which it imports";
  EXPECT_EQ(image->FindFunction("dsocr_test_agent_build"), std::nullopt) << "which is data";
  EXPECT_EQ(image->FindFunction(""), std::nullopt);
}

TEST_F(ElfTest, FindsTheFunctionsOfLibc) {
  const ElfImage::Reader here = [](uint64_t address, void* to, size_t size) {
    std::memcpy(to, reinterpret_cast<const void*>(address), size);
    return true;
  };
  link_map* libc = nullptr;
  void* const library = ::dlopen("libc.so.6", RTLD_NOW);
  ASSERT_EQ(::dlinfo(library, RTLD_DI_LINKMAP, &libc), 0);
  const auto image = ElfImage::OfMemory(here, libc->l_addr);
  ASSERT_TRUE(image.ok()) << image.status();
  for (const char* name : {"send", "close", "munmap", "syscall"}) {
    EXPECT_EQ(image->FindFunction(name), reinterpret_cast<uint64_t>(::dlsym(library, name))) << name;
  }
}

TEST_F(ElfTest, ReadsTheSameBuildIdFromFileAndMemory) {
  const auto file = ElfImage::OfFile(ReaderOf(file_));
  const auto memory = ElfImage::OfMemory(ReaderOf(memory_, base_), base_);
  ASSERT_TRUE(file.ok() && memory.ok());
  EXPECT_THAT(file->BuildId(), testing::MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(file->BuildId().size(), 40U);
  EXPECT_EQ(memory->BuildId(), file->BuildId());
}

TEST_F(ElfTest, RefusesWhatIsNoImage) {
  for (std::string bytes : {std::string(),
                            std::string("\x7f"
                                        "ELF"),
                            std::string(4096, '\0'), std::string("#!/bin/sh\n")}) {
    EXPECT_FALSE(ElfImage::OfFile(ReaderOf(bytes)).ok());
  }
  std::string of_32_bits = file_;
  of_32_bits[EI_CLASS] = ELFCLASS32;
  EXPECT_FALSE(ElfImage::OfFile(ReaderOf(of_32_bits)).ok());
}

// Whatever it says, it says it in time and within the bytes.
void Ask(const std::string& bytes, uint64_t base) {
  if (const auto file = ElfImage::OfFile(ReaderOf(bytes)); file.ok()) {
    EXPECT_LE(file->BuildId().size(), 128U);
  }
  if (const auto memory = ElfImage::OfMemory(ReaderOf(bytes, base), base); memory.ok()) {
    EXPECT_LE(memory->BuildId().size(), 128U);
    memory->FindFunction("dsocr_agent_attach");
  }
}

TEST_F(ElfTest, SurvivesTruncationAnywhere) {
  for (size_t size = 0; size < memory_.size(); size += size < 4096 ? 7 : 61) {
    Ask(memory_.substr(0, size), base_);
    Ask(file_.substr(0, size), base_);
  }
}

TEST_F(ElfTest, SurvivesBytesThatWereChanged) {
  std::mt19937 random(6);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = memory_;
    // Most of what is read lies in the first kibibytes, and in the dynamic section at the end.
    for (int change = 0; change < 4; ++change) {
      const size_t at = random() % (change % 2 == 0 ? 1024 : bytes.size() - 8);
      const uint64_t value = random() % 3 == 0 ? ~uint64_t{0} >> random() % 64 : random();
      std::memcpy(bytes.data() + at, &value, 1 + random() % 8);
    }
    Ask(bytes, base_);
  }
}

}  // namespace
}  // namespace dsocr::attach
