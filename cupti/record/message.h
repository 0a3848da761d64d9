// What agent and daemon say to each other on their unix socket (SOCK_SEQPACKET): fixed-size messages with fixed
// opcodes, no lengths, no text that is run. A packet of another size, magic, version or opcode ends the connection.
//
//   agent  -> daemon   Hello, with the ring's memfd as SCM_RIGHTS: the first packet
//   daemon -> agent    Control: kWelcome, then kPause and kResume at will, kDetach at the end
//
// In place of the welcome the daemon may ask for one thing, kStartKineto: the agent answers and closes.
//
// Who connects differs: an agent that came with a launched command connects to the daemon and shows the command's
// token; to an agent that is in a job already, the daemon connects; an injected agent is handed a connected socket by
// who injects it. Where there is a name to connect to, either side checks the other's user (SO_PEERCRED).
//
// End of file is the end of the session: the agent takes its hooks out, the daemon drains the ring. On the wire: do not
// renumber.
#ifndef DSOCR_CUPTI_RECORD_MESSAGE_H_
#define DSOCR_CUPTI_RECORD_MESSAGE_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace dsocr::record {

// What tells an agent that it is wanted, in the job's environment.
inline constexpr char kSocketVariable[] = "DSOCR_AGENT_SOCKET";  // absolute path
inline constexpr char kTokenVariable[] = "DSOCR_AGENT_TOKEN";    // kTokenBytes hexadecimal digits

inline constexpr char kBudgetVariable[] = "DSOCR_AGENT_BUDGET";  // parts per million of the job's time; may be absent

inline constexpr uint32_t kMessageMagic = 0x5243444f;  // "ODCR"
inline constexpr uint16_t kMessageVersion = 2;
inline constexpr int kTokenBytes = 32;

enum class Opcode : uint16_t {
  kHello = 1,
  kWelcome = 2,
  kPause = 3,  // stop recording; ranges are still followed, so that recording can go on in the middle of one
  kResume = 4,
  kDetach = 5,       // take the hooks out and sleep
  kStartKineto = 6,  // in place of kWelcome: switch PyTorch's own on-demand profiler on
};

struct Hello {
  uint32_t magic;
  uint16_t version;
  Opcode opcode;
  int32_t pid;  // in the agent's own pid namespace
  uint32_t slot_count;
  char token[kTokenBytes];  // zeros: the connection itself is the permission
};
static_assert(sizeof(Hello) == 48 && std::is_trivially_copyable_v<Hello>);

// In place of a hello: why there will be none, in words, behind this byte. Of a longer packet than kMaxRefusalBytes the
// rest is not read.
inline constexpr char kRefusalMark = '!';
inline constexpr size_t kMaxRefusalBytes = 512;

// The answer to kStartKineto: kRefusalMark and why not, or the absolute path of the directory, as the process sees it,
// in which its profiler asks for something to record.
inline constexpr size_t kMaxKinetoAnswerBytes = 512;

// Which modules of a Python job get hooks.
enum class Depth : uint32_t {
  kNone = 0,    // none: the job's own ranges alone
  kStages = 1,  // the root, and its direct children; of a known DeepSeek-OCR the modules that stand for our stages
  kAll = 2,
};

struct Control {
  uint32_t magic;
  uint16_t version;
  Opcode opcode;
  // Of kWelcome; 0 elsewhere.
  uint32_t budget_ppm;  // parts per million of the job's time that recording may take; 0: no limit
  Depth depth;
};
static_assert(sizeof(Control) == 16 && std::is_trivially_copyable_v<Control>);

constexpr Control MakeControl(Opcode opcode, uint32_t budget_ppm = 0, Depth depth = Depth::kNone) {
  return {kMessageMagic, kMessageVersion, opcode, budget_ppm, depth};
}

// False: not such a message. `bytes` is as long as the packet was.
inline bool ParseHello(const void* bytes, size_t size, Hello* hello) {
  if (size != sizeof(Hello)) {
    return false;
  }
  std::memcpy(hello, bytes, sizeof(Hello));
  return hello->magic == kMessageMagic && hello->version == kMessageVersion && hello->opcode == Opcode::kHello;
}

inline bool ParseControl(const void* bytes, size_t size, Control* control) {
  if (size != sizeof(Control)) {
    return false;
  }
  std::memcpy(control, bytes, sizeof(Control));
  return control->magic == kMessageMagic && control->version == kMessageVersion &&
         control->opcode >= Opcode::kWelcome && control->opcode <= Opcode::kStartKineto &&
         control->depth <= Depth::kAll;
}

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_MESSAGE_H_
