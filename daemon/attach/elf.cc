#include "daemon/attach/elf.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::attach {
namespace {

constexpr int kMaxSegments = 128;
constexpr int kMaxDynamicEntries = 1024;
constexpr int kMaxChain = 4096;  // symbols in one bucket
constexpr uint64_t kMaxNotesBytes = 65536;
constexpr uint32_t kMaxBuildIdBytes = 64;  // ld makes 20

// Of the section .gnu.hash; there is no header that declares it.
struct GnuHashHeader {
  uint32_t bucket_count;
  uint32_t first_symbol;
  uint32_t bloom_words;  // of 8 bytes
  uint32_t bloom_shift;
};

uint32_t GnuHash(std::string_view name) {
  uint32_t hash = 5381;
  for (const char letter : name) {
    hash = hash * 33 + static_cast<unsigned char>(letter);
  }
  return hash;
}

uint64_t AlignUp(uint64_t value) { return (value + 3) & ~uint64_t{3}; }

}  // namespace

absl::StatusOr<ElfImage> ElfImage::OfFile(Reader read) {
  ElfImage image(std::move(read), std::nullopt);
  DSOCR_RETURN_IF_ERROR(image.ReadHeaders());
  return image;
}

absl::StatusOr<ElfImage> ElfImage::OfMemory(Reader read, uint64_t base) {
  ElfImage image(std::move(read), base);
  DSOCR_RETURN_IF_ERROR(image.ReadHeaders());
  return image;
}

absl::Status ElfImage::ReadHeaders() {
  const uint64_t start = base_.value_or(0);
  Elf64_Ehdr header;
  if (!Read(start, &header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64 || header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > kMaxSegments) {
    return absl::InvalidArgumentError("not an ELF image for x86-64");
  }
  segments_.resize(header.e_phnum);
  if (!read_(start + header.e_phoff, segments_.data(), segments_.size() * sizeof(Elf64_Phdr))) {
    return absl::InvalidArgumentError("an ELF image without its program headers");
  }
  const auto first = std::find_if(segments_.begin(), segments_.end(),
                                  [](const Elf64_Phdr& segment) { return segment.p_type == PT_LOAD; });
  bias_ = first == segments_.end() ? start : start - (first->p_vaddr - first->p_offset);
  return absl::OkStatus();
}

std::string ElfImage::BuildId() const {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_NOTE) {
      continue;
    }
    const uint64_t size = std::min<uint64_t>(segment.p_filesz, kMaxNotesBytes);
    const uint64_t begin = ContentOf(segment);
    Elf64_Nhdr note;
    for (uint64_t at = 0; at + sizeof(note) <= size && Read(begin + at, &note);) {
      const uint64_t name = at + sizeof(note);
      const uint64_t content = name + AlignUp(note.n_namesz);
      char owner[sizeof(ELF_NOTE_GNU)];
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(owner) && note.n_descsz > 0 &&
          note.n_descsz <= kMaxBuildIdBytes && Read(begin + name, &owner) &&
          std::memcmp(owner, ELF_NOTE_GNU, sizeof(owner)) == 0) {
        std::vector<uint8_t> id(note.n_descsz);
        return read_(begin + content, id.data(), id.size()) ? fmt::format("{:02x}", fmt::join(id, "")) : std::string();
      }
      at = content + AlignUp(note.n_descsz);
    }
  }
  return {};
}

std::optional<uint64_t> ElfImage::FindFunction(std::string_view name) const {
  // The loader has written addresses over what the file said, except where the section is read-only.
  const auto located = [&](uint64_t pointer) { return pointer >= *base_ ? pointer : bias_ + pointer; };
  uint64_t symbols = 0;
  uint64_t names = 0;
  uint64_t hashes = 0;
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type != PT_DYNAMIC) {
      continue;
    }
    Elf64_Dyn entry;
    for (int i = 0; i < kMaxDynamicEntries && Read(ContentOf(segment) + i * sizeof(entry), &entry); ++i) {
      if (entry.d_tag == DT_NULL) {
        break;
      }
      uint64_t* const wanted = entry.d_tag == DT_SYMTAB     ? &symbols
                               : entry.d_tag == DT_STRTAB   ? &names
                               : entry.d_tag == DT_GNU_HASH ? &hashes
                                                            : nullptr;
      if (wanted != nullptr) {
        *wanted = located(entry.d_un.d_ptr);
      }
    }
  }
  GnuHashHeader header;
  if (symbols == 0 || names == 0 || hashes == 0 || !Read(hashes, &header) || header.bucket_count == 0) {
    return std::nullopt;
  }
  const uint32_t hash = GnuHash(name);
  const uint64_t buckets = hashes + sizeof(header) + uint64_t{header.bloom_words} * 8;
  const uint64_t chains = buckets + uint64_t{header.bucket_count} * 4;
  uint32_t index = 0;
  if (!Read(buckets + uint64_t{hash % header.bucket_count} * 4, &index) || index < header.first_symbol) {
    return std::nullopt;
  }
  uint32_t link = 0;
  for (int i = 0; i < kMaxChain && Read(chains + uint64_t{index - header.first_symbol} * 4, &link); ++i, ++index) {
    Elf64_Sym symbol;
    std::string text(name.size() + 1, '?');
    if ((link | 1) == (hash | 1) && Read(symbols + uint64_t{index} * sizeof(symbol), &symbol) &&
        symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
        read_(names + symbol.st_name, text.data(), text.size()) && text.back() == '\0' &&
        std::string_view(text.data()) == name) {
      return bias_ + symbol.st_value;
    }
    if ((link & 1) != 0) {
      break;
    }
  }
  return std::nullopt;
}

}  // namespace dsocr::attach
