// The little that is asked of an ELF image: where its functions are, and which build it is.
//
// Images come from other processes: every offset and count in them is hostile, each read is checked by its Reader, and
// every loop has an end of its own.
#ifndef DSOCR_DAEMON_ATTACH_ELF_H_
#define DSOCR_DAEMON_ATTACH_ELF_H_

#include <elf.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace dsocr::attach {

class ElfImage {
 public:
  // Copies what is at `address`; false: it is not all there.
  using Reader = std::function<bool(uint64_t address, void* to, size_t size)>;

  // A library or program as it lies in a file: addresses are offsets in it. INVALID_ARGUMENT, here and below: not an
  // ELF image for x86-64.
  static absl::StatusOr<ElfImage> OfFile(Reader read);
  // As a loader has mapped it at `base`: addresses are those of the process. So it is the code that runs, whatever has
  // become of its file since, and in whichever mount namespace.
  static absl::StatusOr<ElfImage> OfMemory(Reader read, uint64_t base);

  // The GNU build id in hexadecimal; empty: it has none.
  std::string BuildId() const;

  // The address of an exported function. REQUIRES: OfMemory.
  std::optional<uint64_t> FindFunction(std::string_view name) const;

 private:
  ElfImage(Reader read, std::optional<uint64_t> base) : read_(std::move(read)), base_(base) {}
  absl::Status ReadHeaders();
  template <typename T>
  bool Read(uint64_t address, T* to) const {
    return read_(address, to, sizeof(T));
  }
  // Where the content of a segment starts.
  uint64_t ContentOf(const Elf64_Phdr& segment) const {
    return base_ ? bias_ + segment.p_vaddr : uint64_t{segment.p_offset};
  }

  Reader read_;
  std::optional<uint64_t> base_;  // nullopt: of a file
  uint64_t bias_ = 0;             // of a memory image: an address less its p_vaddr
  std::vector<Elf64_Phdr> segments_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_ELF_H_
