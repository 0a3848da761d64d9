// The simulated device and its driver: contexts, streams with timelines, graphs, and the API callbacks that CUPTI's
// subscriber hears.
#ifndef DSOCR_TESTS_FAKE_DEVICE_H_
#define DSOCR_TESTS_FAKE_DEVICE_H_

#include <cupti.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/fake/activity.h"
#include "tests/fake/fake_gpu.h"

namespace dsocr::fake {

// CUPTI's one subscriber.
class Subscriber {
 public:
  bool Subscribe(CUpti_CallbackFunc callback, void* userdata);
  void Unsubscribe();
  bool is_subscribed() const { return callback_.load() != nullptr; }
  void Enable(CUpti_CallbackDomain domain, CUpti_CallbackId id, bool is_enabled) {
    enabled_[domain][id].store(is_enabled, std::memory_order_relaxed);
  }
  void EnableDomain(CUpti_CallbackDomain domain, bool is_enabled);
  bool Hears(CUpti_CallbackDomain domain, CUpti_CallbackId id) const {
    return enabled_[domain][id].load(std::memory_order_relaxed) && is_subscribed();
  }
  void Tell(CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
    if (const CUpti_CallbackFunc callback = callback_.load(); callback != nullptr && Hears(domain, id)) {
      callback(userdata_, domain, id, data);
    }
  }

  static constexpr CUpti_CallbackId kIds = 1024;  // of each domain; more than CUPTI 13 has

 private:
  std::atomic<CUpti_CallbackFunc> callback_{nullptr};
  void* userdata_ = nullptr;
  std::atomic<bool> enabled_[CUPTI_CB_DOMAIN_SIZE][kIds] = {};
};

struct Context {
  uint32_t id;
  uint32_t device = 0;
};

struct Graph;

// What a CUgraphNode points to.
struct Node {
  uint64_t id;  // the graph's id << 32 | its number there
  Operation operation;
};

struct Graph {
  uint32_t id;
  std::vector<std::unique_ptr<Node>> nodes;
};

struct Exec {
  Graph clone;  // its id is the executable graph's
  const Graph* original;
  std::shared_ptr<const std::vector<GraphNode>> nodes;  // of the clone; work under way keeps it
  int64_t duration_ns;
};

struct Stream {
  uint32_t id;
  uint32_t queue;  // its number
  Context* context;
  std::mutex mutex;                // guards what follows
  int64_t free_ns = 0;             // CLOCK_REALTIME, when it will have done all
  std::unique_ptr<Graph> capture;  // null: not capturing
};

// What all of the library shares. Never destroyed.
struct Device {
  Subscriber subscriber;
  std::atomic<bool> api_records[CUPTI_CB_DOMAIN_SIZE][Subscriber::kIds] = {};  // functions recorded by name
  std::atomic<uint32_t> last_correlation{0};
  std::atomic<uint32_t> next_graph_id{1};
  std::atomic<uint64_t> next_address{0x7f0000000000};
  std::mutex mutex;  // guards what follows
  std::map<uint32_t, Context> contexts;
  std::map<std::pair<uint32_t, uint32_t>, Stream> streams;                     // by context and id
  std::map<std::string, std::unique_ptr<std::string>, std::less<>> functions;  // a CUfunction points to its name
  std::map<uint64_t, uint64_t> allocations;                                    // bytes by address
};
Device& ProcessDevice();

// The external correlation ids that a thread has pushed. Without a destructor: threads launch while they end, too.
struct ExternalIds {
  static constexpr uint32_t kDepth = 128;  // deeper ones are counted, and not recorded
  uint32_t depth[CUPTI_EXTERNAL_CORRELATION_KIND_SIZE];
  uint64_t ids[CUPTI_EXTERNAL_CORRELATION_KIND_SIZE][kDepth];
};
ExternalIds& ThreadExternalIds();

}  // namespace dsocr::fake

#endif  // DSOCR_TESTS_FAKE_DEVICE_H_
