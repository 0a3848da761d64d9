// The record: the one thing that travels from an agent to the daemon, and the one thing that a trace file holds.
//
// A record is 56 bytes, plain, little-endian (x86-64 and aarch64 alike). Its kind says which member of the union is
// meant. Names and paths are numbers; the records that define them travel in the same ring before their first use.
// docs/record-format.md is the specification, with a worked example.
//
// On the wire and on disk: do not renumber kinds, do not move fields; a change of meaning raises kFormatVersion.
//
// A reader treats every field as hostile: numbers are checked before they index anything. Time: CLOCK_MONOTONIC
// nanoseconds.
#ifndef DSOCR_CUPTI_RECORD_RECORD_H_
#define DSOCR_CUPTI_RECORD_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace dsocr::record {

inline constexpr uint16_t kFormatVersion = 1;

enum class Kind : uint8_t {
  kNone = 0,            // never written; a zeroed slot
  kThread = 1,          // a thread's number and name; also says that an earlier thread of that number is gone
  kNameDefinition = 2,  // a piece of a name's text
  kPathDefinition = 3,  // a path: its parent and its last name
  kRangePush = 4,
  kRangePop = 5,
  kCpuOperation = 6,  // an outermost operator call
  kKernel = 7,
  kCopy = 8,
  kSet = 9,
  kStatistics = 10,  // what the agent says of itself
  kDropped = 11,     // written by the reader of a ring: how many records the full ring refused so far
  kGraphNode = 12,   // the owner of a CUDA graph's node, taken when the node was captured; before its first replay
  kGraphGone = 13,   // a graph was destroyed: the ids of its nodes may come again
  kGraphLaunch = 14,
  kWait = 15,      // the host waited for the device: an Operation, `name` says for what
  kOverhead = 16,  // CUPTI's own time: an Operation, `name` says for what
  kMemory = 17,    // device memory allocated or freed
  kLedger = 18,    // what a stream was asked to do and what became of it, so far
  kIncident = 19,  // what went wrong in recording
  kAgentCost = 20,
  kModule = 21,         // a module of the job, as its framework names it
  kCallShape = 22,      // what a call of a module was given; directly after its push
  kOperatorShape = 23,  // what an operator call outside of every range was given; directly before its operation
};
inline constexpr uint8_t kLastKind = 23;

// --- Numbers
// -----------------------------------------------------------------------------------------------------------------

using NameId = uint32_t;  // 0: no name; defined in order 1, 2, 3, …
using PathId = uint32_t;  // 0: outside of every range; defined in order 1, 2, 3, …

// Which range an operation belongs to: the path says which module, the entry which call of it. One 64-bit number, so
// that it fits CUPTI's external correlation id. With the path in it, an operation finds its module even when the call
// is long forgotten.
using Owner = uint64_t;  // 0: none
inline constexpr int kEntryBits = 40;
inline constexpr uint64_t kEntryMask = (uint64_t{1} << kEntryBits) - 1;
inline constexpr PathId kMaxPaths = 1 << 16;  // ids are below this; far above what a job with reasonable names defines
inline constexpr NameId kMaxNames = 1 << 16;
inline constexpr uint32_t kMaxThreads = 4096;    // numbers are reused after a thread's end
inline constexpr uint32_t kMaxNameBytes = 4096;  // longer names (some C++ templates) are cut
inline constexpr uint32_t kMaxPathDepth = 64;

constexpr Owner MakeOwner(PathId path, uint64_t entry) { return (uint64_t{path} << kEntryBits) | (entry & kEntryMask); }
constexpr PathId OwnerPath(Owner owner) { return static_cast<PathId>(owner >> kEntryBits); }
constexpr uint64_t OwnerEntry(Owner owner) { return owner & kEntryMask; }
static_assert(kMaxPaths <= (1u << (64 - kEntryBits)), "a path id must fit beside the entry");

// --- What each kind carries
// ----------------------------------------------------------------------------------------------------

struct Thread {
  uint32_t os_tid;
  uint32_t reserved;
  char name[40];  // not terminated when full
};

// A name of n bytes is sent as ceil(n / 40) pieces in order of offset, by one thread, before the first use of `name`. A
// piece at offset 0 starts over: that is how a definition of which a piece was dropped is repeated.
struct NameDefinition {
  NameId name;
  uint16_t total_bytes;
  uint16_t offset;
  char bytes[40];
};

struct PathDefinition {
  PathId path;
  PathId parent;  // < path
  NameId name;
  uint32_t is_module;  // 1: `name` is a module's whole attribute path, wherever it is called; 0: a range's name
};

// Push and pop of one range carry the same owner. Entries are unique in a process.
struct Range {
  int64_t time_ns;
  Owner owner;
  // Push of an outermost range: 2^16 / the probability with which it was chosen to be recorded. 0: it was certain.
  uint64_t inverse_probability_q16;
};

struct Operation {
  int64_t start_ns;
  int64_t end_ns;  // >= start_ns
  Owner owner;
  NameId name;
  uint32_t stream;  // GPU: the stream's id; CPU: 0
  uint64_t detail;  // CPU operation: operator calls inside this one. Operation of a graph: its node's id. Other copies
                    // and sets: bytes
  uint32_t correlation;  // GPU: CUPTI's correlation id of the launch; CPU: 0
  uint32_t context;      // GPU: the context's id; CPU: 0
};

// Costs in picoseconds, measured by the agent in this process when it started. Counters since then.
struct Statistics {
  int64_t time_ns;
  uint32_t range_record_ps;
  uint32_t operation_record_ps;
  uint32_t nested_call_ps;  // of an operator call inside an operation: a callback that writes nothing
  uint32_t clock_uncertainty_ns;
  uint64_t lost_operations;  // known to have happened, never recorded: CUPTI's own drops
  uint64_t invalid;          // records of CUPTI that made no sense and were left out
  uint64_t overflowed;       // ranges too deep or names too many: their time is the enclosing range's
};

struct Dropped {
  uint64_t total;  // since the ring was made
};

struct GraphNode {
  uint64_t node;  // CUPTI's id, unique in the process while the graph lives
  Owner owner;    // the innermost range of the capturing thread; 0: not known, also if it was said to be before
  uint32_t graph;
  uint32_t reserved;
};

struct GraphGone {
  uint32_t graph;
  uint32_t reserved;
};

// Operations of the replay carry the same correlation; their `owner` is that of this launch.
struct GraphLaunch {
  int64_t time_ns;
  Owner owner;
  uint32_t correlation;
  uint32_t graph;
  uint32_t operations;  // kernels, copies and sets among its nodes; 0: not known, it was captured unseen
  uint32_t reserved;
};

struct Memory {
  int64_t time_ns;
  Owner owner;
  uint64_t address;
  int64_t bytes;  // negative: freed
};

// launched = recorded + dropped + invalid + pending, always. Counts since the recording began.
struct Ledger {
  uint64_t launched;
  uint64_t recorded;  // went into the ring
  uint64_t dropped;   // known to be lost: by CUPTI, or because the ring was full
  uint64_t invalid;   // made no sense and were left out
  uint32_t stream;    // kAllStreams: of no known stream
  uint32_t context;
  uint64_t pending;  // launched, and nothing heard of it yet
};
inline constexpr uint32_t kAllStreams = 0xffffffff;

// On the wire: do not renumber. docs/gpu-capture.md says what each means for a reader of the report.
enum class IncidentCode : uint32_t {
  kSubscriberRefused = 1,  // `name`: who holds CUPTI. Launches are not counted, graphs are not seen captured
  kEnableRefused = 2,      // `value`: the activity kind; no GPU operation is recorded
  kStalled = 3,            // `value`: launches without a record when it was noticed
  kRecovered = 4,          // records come again; `value`: milliseconds since the stall was noticed
  kFlushStuck = 5,         // `value`: milliseconds that it had not returned for
  kClockJumped = 6,        // `value`: nanoseconds, signed
  kUnknownKind = 7,        // `value`: the first activity kind that nobody knows
  kUnknownVersion = 8,     // `value`: bytes of a record of a layout that nobody knows
  kTruncated = 9,          // `value`: bytes left over at a buffer's end
  kDuplicate = 10,         // `value`: the correlation id that came more often than it was launched
  kNoBuffer = 11,          // all buffers were full: what CUPTI had meanwhile was thrown away
  kNoLibrary = 12,         // no libcupti that we know; `value`: the major version that was found, 0 for none
  kMostlyInvalid = 13,     // `value`: invalid records within a second, more than valid ones; CUPTI was restarted
};
inline constexpr uint32_t kLastIncidentCode = 13;

// Written at the first of its kind and again, with the count, when the recording ends.
struct Incident {
  int64_t time_ns;
  IncidentCode code;
  NameId name;
  int64_t value;
  uint64_t count;  // so far
};

// What the agent took of the job since the recording began.
struct AgentCost {
  int64_t time_ns;
  uint64_t callback_ns;     // in CUPTI's callbacks, on the job's threads and on CUPTI's
  uint64_t decode_ns;       // turning activity records into records, on a thread of the agent
  uint64_t memory_bytes;    // buffers, tables and the ring, as far as touched
  uint64_t units_seen;      // outermost ranges
  uint64_t units_recorded;  // of them, those that were chosen
};

// One module of a tree of modules (Python: torch.nn.Module). A range of it has `path` for its name, behind the root's
// type and a colon where the process has several roots.
struct Module {
  NameId path;             // the attribute path from the root; 0: the root itself, whose ranges are named by its type
  NameId type;             // the class, qualified
  uint32_t root;           // 0, 1, …
  uint32_t rank;           // of its weight; 0: it has none of its own
  uint32_t shape[4];       // of its weight, the first four sizes
  uint64_t parameters;     // of its own, its children's not
  uint32_t element_bytes;  // of its weight; 0: not known
  uint32_t reserved;
};

struct CallShape {
  Owner owner;
  uint32_t rank;      // of the first tensor among its arguments
  uint32_t shape[5];  // the first five sizes
};

// Of the first two tensors among the arguments. Which operators tell it is the agent's choice: those that have weights,
// and attention.
struct OperatorShape {
  uint16_t rank[2];           // 0: there is no such tensor, or its sizes are not plain numbers
  uint16_t element_bytes[2];  // 0: not known
  uint32_t sizes[2][5];       // the first five; larger ones are cut to 2^32 - 1
};

struct Record {
  Kind kind;
  uint8_t reserved;
  uint16_t device;  // GPU ordinal; CPU: 0
  uint32_t thread;  // who wrote it; of a GPU operation, wait or overhead: the graph's id, 0 outside of graphs
  union {
    Thread thread_definition;
    NameDefinition name_definition;
    PathDefinition path_definition;
    Range range;
    Operation operation;
    Statistics statistics;
    Dropped dropped;
    GraphNode graph_node;
    GraphGone graph_gone;
    GraphLaunch graph_launch;
    Memory memory;
    Ledger ledger;
    Incident incident;
    AgentCost agent_cost;
    Module module;
    CallShape call_shape;
    OperatorShape operator_shape;
    uint64_t words[6];
  };
};

static_assert(sizeof(Record) == 56);
static_assert(sizeof(Thread) == 48 && sizeof(NameDefinition) == 48 && sizeof(PathDefinition) == 16 &&
              sizeof(Range) == 24);
static_assert(sizeof(Operation) == 48 && sizeof(Statistics) == 48 && sizeof(Dropped) == 8);
static_assert(sizeof(GraphNode) == 24 && sizeof(GraphGone) == 8 && sizeof(GraphLaunch) == 32 && sizeof(Memory) == 32);
static_assert(sizeof(Module) == 48 && sizeof(CallShape) == 32 && sizeof(OperatorShape) == 48);
static_assert(sizeof(Ledger) == 48 && sizeof(Incident) == 32 && sizeof(AgentCost) == 48);
static_assert(offsetof(Record, operation) == 8);
static_assert(std::is_trivially_copyable_v<Record>);

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_RECORD_H_
