#include "daemon/attach/call_memory.h"

#include <algorithm>

namespace dsocr::attach {

using record::Owner;

void CallMemory::AddPiece(uint64_t pass, Owner prefill) {
  if (Pass* const known = FindPass(pass); known != nullptr && known->pieces.size() < kMaxPieces) {
    known->pieces.push_back(prefill);
  }
}

std::optional<Owner> CallMemory::OwnerOf(Owner job_owner, bool is_operation) {
  const Resolution& resolution = PlaceOf(job_owner);
  if (job_owner == 0 || resolution.job_owner != job_owner) {
    return std::nullopt;
  }
  Pass* const pass = FindPass(resolution.pass);
  if (!is_operation || pass == nullptr) {
    return resolution.owner;
  }
  if (!resolution.is_any_piece) {
    pass->reached = std::max<size_t>(pass->reached, resolution.piece);
    return resolution.owner;
  }
  return pass->reached < pass->pieces.size() ? pass->pieces[pass->reached]
                                             : record::MakeOwner(record::OwnerPath(resolution.owner), 0);
}

}  // namespace dsocr::attach
