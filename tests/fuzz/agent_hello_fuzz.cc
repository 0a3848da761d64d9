// What says it is an agent, as the daemon hears it: any packet, with any descriptors, and any bytes as its ring.
//
//     input := what comes with the packet (1) | length of the packet (2) | packet | bytes of the ring
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/collect/hello.h"
#include "daemon/collect/process.h"
#include "tests/fuzz/attribution_laws.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/packet.h"

namespace {

using namespace dsocr;

constexpr uint32_t kSlots = record::kMinRingSlots;

enum Companion : uint8_t { kRing, kNothing, kUnsealedRing, kLongerRing, kDevice, kTwoRings, kCompanions };

UniqueFd MakeRing(Companion companion, std::string_view bytes) {
  if (companion == kDevice) {
    return UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
  }
  UniqueFd file(memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const size_t size = record::RingBytes(kSlots) + (companion == kLongerRing ? 1 : 0);
  const ssize_t written = write(file.get(), bytes.data(), std::min(bytes.size(), size));
  Expect(written >= 0 && ftruncate(file.get(), static_cast<off_t>(size)) == 0, "a ring can be made");
  if (companion != kUnsealedRing) {
    Expect(fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0, "it can be sealed");
  }
  return file;
}

void Record(collect::ReceivedHello received, UniqueFd socket) {
  absl::StatusOr<collect::RingMapping> ring = collect::RingMapping::Map(received.ring.get(), received.hello.slot_count);
  if (!ring.ok()) {
    return;
  }
  collect::Process process(1, std::move(socket), *std::move(ring), {}, nullptr);
  process.Send(record::MakeControl(record::Opcode::kWelcome));
  Expect(process.Drain(1000) <= kSlots, "what nobody writes to has a ring's length of records at most");
  process.Disconnect();
  Expect(process.attribution().records_received() <= 2 * int64_t{kSlots} + 1, "the end is as short");
  ExpectSumsClose(process.Finish());
}

void Hear(Bytes input) {
  const auto companion = static_cast<Companion>(input.Take<uint8_t>() % kCompanions);
  const std::string_view packet = input.TakeUpTo(input.Take<uint16_t>());
  const UniqueFd ring = companion == kNothing ? UniqueFd() : MakeRing(companion, input.left());
  Connection connection;
  connection.Send(packet, companion == kNothing    ? std::vector<int>{}
                          : companion == kTwoRings ? std::vector<int>{ring.get(), ring.get()}
                                                   : std::vector<int>{ring.get()});
  collect::ReceivedHello received = collect::ReceiveHello(connection.ours.get());
  Expect(received.ring.valid() == received.refusal.empty(), "there is a ring, or a reason");
  Expect(received.refusal.size() < record::kMaxRefusalBytes, "a reason is short");
  Expect(std::all_of(received.refusal.begin(), received.refusal.end(), [](char c) { return c >= ' ' && c <= '~'; }),
         "a reason can be printed");
  if (received.ring.valid()) {
    Record(std::move(received), std::move(connection.ours));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int next = NextDescriptor();
  Hear(Bytes(data, size));
  Expect(NextDescriptor() == next, "nothing stays open");
  return 0;
}
