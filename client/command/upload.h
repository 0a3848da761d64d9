// Files to the daemon, as contracts section 4 wants them: in messages of at most 1 MiB.
#ifndef DSOCR_CLIENT_COMMAND_UPLOAD_H_
#define DSOCR_CLIENT_COMMAND_UPLOAD_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace dsocr::client {

inline constexpr size_t kChunkBytes = 1 << 20;

// Writes `request` with the first piece of `text`, then messages with the rest alone; `set` puts a piece into a
// message. False where the daemon has seen enough: the call's status says why.
template <typename Request, typename Writer, typename Set>
bool SendPieces(Request request, std::string_view text, Writer* writer, const Set& set) {
  while (true) {
    const std::string_view piece = text.substr(0, kChunkBytes);
    set(&request, std::string(piece));
    text.remove_prefix(piece.size());
    if (!writer->Write(request)) {
      return false;
    }
    if (text.empty()) {
      return true;
    }
    request.Clear();
  }
}

// The same of a request whose file is `data`, and the end of what is sent.
template <typename Request, typename Writer>
void SendInChunks(Request request, std::string_view text, Writer* writer) {
  SendPieces(std::move(request), text, writer,
             [](Request* message, std::string piece) { message->set_data(std::move(piece)); });
  writer->WritesDone();
}

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_UPLOAD_H_
