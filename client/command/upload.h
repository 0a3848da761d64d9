// Files to the daemon, as contracts section 4 wants them: in messages of at most 1 MiB.
#ifndef DSOCR_CLIENT_COMMAND_UPLOAD_H_
#define DSOCR_CLIENT_COMMAND_UPLOAD_H_

#include <cstddef>
#include <string_view>

namespace dsocr::client {

inline constexpr size_t kChunkBytes = 1 << 20;

// Writes `request` with the first piece of `text`, then messages with the rest alone. Ends early where the daemon has
// seen enough: the call's status says why.
template <typename Request, typename Writer>
void SendInChunks(Request request, std::string_view text, Writer* writer) {
  while (true) {
    const std::string_view piece = text.substr(0, kChunkBytes);
    request.set_data(piece.data(), piece.size());
    text.remove_prefix(piece.size());
    if (!writer->Write(request) || text.empty()) {
      break;
    }
    request.Clear();
  }
  writer->WritesDone();
}

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_UPLOAD_H_
