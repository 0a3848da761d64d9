// What says it is the daemon, as the agent hears it: any packets, with or without a descriptor.
//
//     input := packets, each: length and companion (1) | bytes
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "cupti/agent/daemon_socket.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/packet.h"

namespace {

using namespace dsocr;

constexpr uint8_t kWithDescriptor = 0x80;
constexpr uint8_t kGiant = 0x7f;
constexpr size_t kGiantBytes = 20'000;

void Hear(std::string_view packet, bool with_descriptor) {
  const Connection connection;
  connection.Send(packet, with_descriptor ? std::vector<int>{STDERR_FILENO} : std::vector<int>{});
  record::Control control{};
  const bool is_order = agent::ReceiveControl(connection.ours.get(), 0, &control);
  Expect(!is_order || packet.size() == sizeof(control), "an order has its size");
  if (is_order) {
    Expect(std::memcmp(packet.data(), &control, sizeof(control)) == 0, "an order is what was sent");
    Expect(control.opcode != record::Opcode::kHello && control.depth <= record::Depth::kAll, "an order is known");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int next = NextDescriptor();
  for (Bytes input(data, size); !input.empty();) {
    const auto head = input.Take<uint8_t>();
    const size_t length = head & ~kWithDescriptor;
    std::string packet(input.TakeUpTo(length));
    packet.resize(length == kGiant ? kGiantBytes : packet.size());
    Hear(packet, (head & kWithDescriptor) != 0);
  }
  Expect(NextDescriptor() == next, "nothing stays open");
  return 0;
}
