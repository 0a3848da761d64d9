// The work of every operator of a pass as data, so that a pass is priced without running the tree's functions.
//
// An operator's work is a function of the pass's sizes. For all but a few it is a polynomial of a known form: at most
// linear in the batch and in the image tokens, at most quadratic in the keys. Its coefficients follow from differences
// at the smallest sizes, and the polynomial is kept only if it gives the function's exact integers at sizes far away,
// too (two polynomials that differ do so at almost every place: Schwartz, JACM 27(4), 1980). What fails, such as
// experts hit or a logarithm, stays a function and is run each time. So a table can be slow, but not wrong in a way
// that the tests' thousands of random passes would not see; the functions of the tree remain the one description of the
// work.
//
// Figures are integers held in doubles: exact below kExactLimit, beyond which WorkOf says so. Immutable once built.
#ifndef DSOCR_ANALYTIC_WHAT_IF_PASS_TABLE_H_
#define DSOCR_ANALYTIC_WHAT_IF_PASS_TABLE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "analytic/module/frame.h"
#include "analytic/module/tree.h"
#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

inline constexpr double kExactLimit = 9007199254740992.0;  // 2^53

// One operator of one leaf.
struct Slot {
  int node = 0;  // index into ModuleTree::nodes
  const LeafOperator* leaf_operator = nullptr;
};

// The work of one call of each slot in one pass, by slot. Where a slot does not run, zeros.
struct PassWork {
  std::vector<double> flops;
  std::vector<double> vector_flops;
  std::vector<double> bytes;
  std::vector<double> live_bytes;  // with what the modules around it hold

  explicit PassWork(size_t slots);
};

// A slot whose work is not in the table's polynomials.
struct FreeSlot {
  size_t slot = 0;
  bool depends_on_rows_alone = false;  // on batch * tokens, and no other size of the frame
};

class PassTable {
 public:
  // The frame of a pass of one set of frames, with sizes of the caller's choice.
  using FrameAt = std::function<Frame(int64_t batch, int64_t keys, int64_t image_tokens)>;

  // `slots` of leaves whose frames `frame_at` makes; they and the tree outlive the table. A set of frames without keys
  // (views) passes has_keys = false, and its frames depend on the batch alone.
  PassTable(const ModuleTree& tree, const std::vector<Slot>& slots, Precision precision, const FrameAt& frame_at,
            bool has_keys);

  // Fills what is in the polynomials and zeros elsewhere; false: not exactly, some figure is beyond kExactLimit.
  bool WorkOf(const Frame& frame, PassWork* work) const;

  const std::vector<FreeSlot>& free_slots() const { return free_slots_; }
  const std::vector<double>& launches() const { return launches_; }
  // How often the slot runs in each pass: the instances of its leaf, or 0.
  const std::vector<double>& calls() const { return calls_; }

 private:
  // The coefficient of one monomial, by slot.
  struct Column {
    size_t monomial = 0;
    std::vector<double> coefficients;
  };
  using Columns = std::vector<Column>;

  size_t slots_;
  Columns flops_;
  Columns vector_flops_;
  Columns bytes_;
  Columns live_bytes_;
  std::vector<double> launches_;
  std::vector<double> calls_;
  std::vector<FreeSlot> free_slots_;
};

// Work of one call, whatever the table: runs the tree's function. live_bytes counts what the modules around the leaf
// hold.
Cost CostOfSlot(const ModuleTree& tree, const Slot& slot, const Frame& frame, Precision precision);
bool RunsIn(const ModuleTree& tree, const Slot& slot, const Frame& frame);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_PASS_TABLE_H_
