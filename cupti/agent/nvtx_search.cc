#include "cupti/agent/nvtx_search.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace dsocr::agent {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#else
constexpr uint16_t kMachine = EM_AARCH64;
#endif

constexpr char kName[] = "\0nvtxGetExportTable_v3";  // with the end of the name before it, and its own
// Of one file; libtorch_python has 8 MB of names, libtorch_cpu 80 and no NVTX.
constexpr uint64_t kMaxNamesBytes = 32 << 20;
// Of all files.
constexpr uint64_t kMaxBytes = 256 << 20;
constexpr size_t kChunkBytes = 48 << 10;  // on the stack; whole symbols
constexpr size_t kCheckedBytes = 16;      // of the function, in the file and in memory

class ElfFile {
 public:
  // Takes the descriptor. `budget` counts down what may still be read.
  ElfFile(int fd, uint64_t* budget) : fd_(fd), budget_(*budget) {}
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;
  ~ElfFile() { close(fd_); }

  bool Open() {
    return Read(0, &header_, sizeof(header_)) && std::memcmp(header_.e_ident, ELFMAG, SELFMAG) == 0 &&
           header_.e_ident[EI_CLASS] == ELFCLASS64 && header_.e_machine == kMachine &&
           header_.e_shentsize == sizeof(Elf64_Shdr) && header_.e_phentsize == sizeof(Elf64_Phdr);
  }

  // The value of the function kName; 0: there is none.
  uint64_t FindFunction() {
    for (uint16_t i = 0; i < header_.e_shnum; ++i) {
      Elf64_Shdr symbols;
      Elf64_Shdr names;
      if (!ReadSection(i, &symbols)) {
        return 0;
      }
      if (symbols.sh_type == SHT_SYMTAB) {
        uint64_t name = 0;
        return ReadSection(symbols.sh_link, &names) && FindName(names, &name) ? FindSymbol(symbols, name) : 0;
      }
    }
    return 0;
  }

  // What is loaded from `offset`, of the file's code; false: nothing is.
  bool FindCode(uint64_t offset, Elf64_Phdr* code) {
    const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    for (uint16_t i = 0; i < header_.e_phnum; ++i) {
      if (!Read(header_.e_phoff + i * sizeof(Elf64_Phdr), code, sizeof(*code))) {
        return false;
      }
      if (code->p_type == PT_LOAD && (code->p_flags & PF_X) != 0 && code->p_offset / page * page == offset) {
        return true;
      }
    }
    return false;
  }

  bool Read(uint64_t offset, void* bytes, size_t size) {
    if (size > budget_ || offset > INT64_MAX) {
      return false;
    }
    budget_ -= size;
    return pread(fd_, bytes, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
  }

 private:
  bool ReadSection(uint32_t index, Elf64_Shdr* section) {
    return index < header_.e_shnum && Read(header_.e_shoff + index * sizeof(Elf64_Shdr), section, sizeof(*section)) &&
           section->sh_offset <= INT64_MAX && section->sh_size <= INT64_MAX - section->sh_offset;
  }

  bool FindName(const Elf64_Shdr& names, uint64_t* name) {
    if (names.sh_size > kMaxNamesBytes) {
      return false;
    }
    char chunk[kChunkBytes];
    // Chunks overlap by a name's length, which may lie across the border.
    for (uint64_t at = 0; at + sizeof(kName) <= names.sh_size; at += sizeof(chunk) - sizeof(kName)) {
      const size_t size = std::min<uint64_t>(sizeof(chunk), names.sh_size - at);
      if (!Read(names.sh_offset + at, chunk, size)) {
        return false;
      }
      if (const void* place = memmem(chunk, size, kName, sizeof(kName))) {
        *name = at + static_cast<uint64_t>(static_cast<const char*>(place) - chunk) + 1;
        return true;
      }
    }
    return false;
  }

  uint64_t FindSymbol(const Elf64_Shdr& table, uint64_t name) {
    Elf64_Sym symbols[kChunkBytes / sizeof(Elf64_Sym)];
    for (uint64_t at = 0; at < table.sh_size; at += sizeof(symbols)) {
      const size_t size = std::min<uint64_t>(sizeof(symbols), table.sh_size - at);
      if (!Read(table.sh_offset + at, symbols, size)) {
        return 0;
      }
      for (size_t i = 0; i < size / sizeof(Elf64_Sym); ++i) {
        if (symbols[i].st_name == name && ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC &&
            symbols[i].st_shndx != SHN_UNDEF) {
          return symbols[i].st_value;
        }
      }
    }
    return 0;
  }

  const int fd_;
  uint64_t& budget_;
  Elf64_Ehdr header_{};
};

// They annotate their own insides, in domains by whose names the hooks know them. Without a tool a domain has no name.
constexpr const char* kLibraries[] = {"/libnccl", "/libnvshmem"};

// A part of a file that is mapped to be run.
struct Mapping {
  uintptr_t begin;
  uintptr_t end;
  uint64_t offset;
  uint64_t inode;
  char path[4096];
};

bool ParseMapping(const char* line, Mapping* mapping) {
  char permissions[5];
  return std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %*x:%*x %" SCNu64 " %4095[^\n]", &mapping->begin,
                     &mapping->end, permissions, &mapping->offset, &mapping->inode, mapping->path) == 6 &&
         permissions[0] == 'r' && permissions[2] == 'x' && mapping->path[0] == '/' &&
         std::none_of(std::begin(kLibraries), std::end(kLibraries),
                      [mapping](const char* name) { return std::strstr(mapping->path, name) != nullptr; });
}

// Whatever is at the address, if anything is by now.
bool IsInMemory(uintptr_t address, const char (&bytes)[kCheckedBytes]) {
  char there[kCheckedBytes];
  const iovec local{there, sizeof(there)};
  const iovec remote{reinterpret_cast<void*>(address), sizeof(there)};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == sizeof(there) &&
         std::memcmp(there, bytes, sizeof(there)) == 0;
}

void Search(const Mapping& mapping, uint64_t* budget, NvtxFound found) {
  const int fd = open(mapping.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return;
  }
  ElfFile file(fd, budget);
  struct stat status;
  Elf64_Phdr code;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_ino != mapping.inode || !file.Open() ||
      !file.FindCode(mapping.offset, &code)) {
    return;
  }
  // In the code that is loaded, and within what is mapped of it.
  const uint64_t value = file.FindFunction();
  const uint64_t place = value - code.p_vaddr;
  const uintptr_t address = mapping.begin + (code.p_offset - mapping.offset) + place;
  char bytes[kCheckedBytes];
  if (value == 0 || value < code.p_vaddr || place >= code.p_filesz || address < mapping.begin ||
      address > mapping.end - sizeof(bytes) || !file.Read(code.p_offset + place, bytes, sizeof(bytes)) ||
      !IsInMemory(address, bytes)) {
    return;
  }
  Dl_info loaded;
  if (dladdr(reinterpret_cast<const void*>(address), &loaded) == 0) {
    return;  // mapped by somebody else than the linker: not to be called
  }
  found(reinterpret_cast<const void* (*)(uint32_t)>(address), {mapping.begin, mapping.end});
}

}  // namespace

void FindNvtx(NvtxFound found) noexcept {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) {
    return;
  }
  uint64_t budget = kMaxBytes;
  char line[4096 + 128];
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    Mapping mapping;
    if (ParseMapping(line, &mapping)) {
      Search(mapping, &budget, found);
    }
  }
  std::fclose(maps);
}

}  // namespace dsocr::agent
