// Counts the requests of a job while it runs, where its model is a DeepSeek-OCR.
//
// A request is a prefill with the decode steps after it on the same thread. It counts if it was seen from its
// beginning, and is over when the next prefill of its thread begins, when the thread ends, or when the model has not
// been called there for kIdleNs: how many steps a request has, only its job knows. What is prefill, and what a decode
// step, is decided as Translator does.
#ifndef DSOCR_DAEMON_ATTACH_REQUEST_COUNTER_H_
#define DSOCR_DAEMON_ATTACH_REQUEST_COUNTER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/record/record.h"
#include "daemon/attach/model_call.h"
#include "daemon/attach/module_map.h"
#include "daemon/attach/recognise.h"
#include "daemon/collect/request_counter.h"

namespace dsocr::attach {

// Constant time a record, but for those with which the model is looked for: a few milliseconds, at most kMaxLooks
// times. Every field is hostile.
class RequestCounter final : public collect::RequestCounter {
 public:
  // Between two steps of `generate` lie milliseconds. A job that pauses longer has its request counted too early.
  static constexpr int64_t kIdleNs = 1'000'000'000;

  // `map`: as Recognise takes it.
  explicit RequestCounter(std::optional<ModuleMap> map) : map_(std::move(map)) {}

  void Consume(std::span<const record::Record> records, int64_t now_ns) override;
  // nullopt: the model was not recognised (yet).
  std::optional<int64_t> Ended(int64_t now_ns) const override;

 private:
  static constexpr int kMaxLooks = 8;
  static constexpr size_t kMaxModules = 1 << 14;

  // Of the passes of one thread; what is open inside of one does not matter.
  struct Thread {
    record::Owner pass = 0;      // the outermost call of the model that is open; 0: none
    bool is_shape_told = false;  // that `pass` was called with
    bool is_first = true;        // no pass was over before it
    std::optional<Phase> phase;
    bool has_request = false;  // a whole one is under way
    int64_t left_ns = 0;       // when the last pass was over
  };
  struct Path {
    record::PathId parent = 0;
    record::NameId module = 0;     // 0: a range that is none
    std::optional<CallKind> kind;  // of a module of the model
  };

  void DefinePath(const record::PathDefinition& definition);
  void Classify(Path& path) const;
  void TellModule(const record::Module& module);
  void LookForModel();
  void Push(const record::Record& record, int64_t now_ns);
  void CallShaped(const record::Record& record);
  void SetPhase(Thread& thread, Phase phase);
  void EndPass(Thread& thread, int64_t now_ns);
  void EndRequest(Thread& thread);

  const std::optional<ModuleMap> map_;
  const attribution::Options no_options_;
  attribution::Dictionary dictionary_{no_options_};
  std::vector<Path> paths_{1};                   // by PathId
  std::vector<attribution::JobModule> modules_;  // until the model is recognised
  bool has_new_modules_ = false;
  int looks_ = 0;
  std::optional<RecognisedModel> model_;
  std::vector<Thread> threads_;
  int64_t ended_ = 0;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_REQUEST_COUNTER_H_
