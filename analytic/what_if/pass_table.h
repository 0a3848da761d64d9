// The work of every operator of a pass as data, so that a pass is priced without running the tree's functions.
//
// An operator's work is a function of the pass's sizes. For all but a few it is a polynomial of a known form: at most
// linear in the batch and in the image tokens, at most quadratic in the keys. Its coefficients follow from differences
// at the smallest sizes, and the polynomial is kept only if it gives the function's exact integers at sizes far away,
// too (two polynomials that differ do so at almost every place: Schwartz, JACM 27(4), 1980). What fails, such as the
// experts hit or a logarithm, stays a function and is run each time. The tree's functions remain the one description of
// the work; tests hold the tables against them at thousands of random passes.
//
// Slots with the same work, size, category and calls are one class, priced once: the layers of a decoder have far more
// operators than they have shapes. Figures are integers held in doubles: exact below kExactLimit, beyond which Price
// says so. A table is immutable once built; any number of threads may read it.
#ifndef DSOCR_ANALYTIC_WHAT_IF_PASS_TABLE_H_
#define DSOCR_ANALYTIC_WHAT_IF_PASS_TABLE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "analytic/law/law.h"
#include "analytic/module/frame.h"
#include "analytic/module/tree.h"
#include "analytic/op/cost.h"
#include "analytic/operator_time.h"
#include "analytic/precision.h"
#include "analytic/step.h"
#include "analytic/what_if/parallel.h"

namespace dsocr::analytic {

inline constexpr double kExactLimit = 9007199254740992.0;  // 2^53

// One operator of one leaf.
struct Slot {
  int node = 0;  // index into ModuleTree::nodes
  const LeafOperator* leaf_operator = nullptr;
  Split split = Split::kNone;
  std::vector<const Dims*> held = {};  // what the modules around the leaf keep alive
};

std::vector<const Dims*> HeldAround(const ModuleTree& tree, int node);

// Over all calls of a pass. The two lie side by side, because whoever takes one takes the other.
struct EntryPrice {
  double time_ns = 0;
  double flops = 0;
};

// What the classes of a pass cost, and then the slots that have none: as many entries as PassTable::entries().
struct PassPrice {
  std::vector<EntryPrice> entries;
  std::vector<DeviceCall> calls;  // by entry; of a GPU
  // Of one call on one device, by class, filled up to whole vectors; filled only if Price is asked to.
  std::vector<double> call_flops;
  std::vector<PredictionError> errors;  // by entry; filled by who asks the laws
  double peak_bytes = 0;                // activations alive in the largest moment
};

class PassTable {
 public:
  // The frame of a pass of one set of frames, with sizes of the caller's choice.
  using FrameAt = std::function<Frame(int64_t batch, int64_t keys, int64_t image_tokens)>;

  // `slots` of leaves whose frames `frame_at` makes. A set of frames without keys (views) passes has_keys = false; its
  // frames depend on the batch alone.
  PassTable(const ModuleTree& tree, const std::vector<Slot>& slots, Precision precision, const FrameAt& frame_at,
            bool has_keys);

  // Prices all classes, with a GPU's calls; the entries of other slots are left alone. `shares` are those that one
  // device has of the work of each Split. False if some figure is not below kExactLimit: nothing in `price` is then to
  // be used.
  bool Price(const Frame& frame, const TimeRates& rates, const std::array<double, kSplitCount>& shares,
             bool keeps_flops, PassPrice* price) const;

  // The FLOPs alone; the other figures of `price` are not to be used. False as above.
  bool CountFlops(const Frame& frame, PassPrice* price) const;

  size_t classes() const { return classes_.size(); }
  CategoryId category(size_t index) const { return classes_[index].category; }
  size_t first_slot(size_t index) const { return first_slots_[index]; }  // of those that are the class
  // Calls of a class in one pass.
  double calls(size_t index) const { return calls_[index]; }

  // Slots whose work is no polynomial, in order. The entry of the i-th is first_free_entry() + i.
  const std::vector<size_t>& free_slots() const { return free_slots_; }
  bool free_slots_depend_on_rows() const { return free_slots_depend_on_rows_; }  // on batch * tokens, and on that alone
  size_t first_free_entry() const { return calls_.size(); }
  size_t entries() const { return first_free_entry() + free_slots_.size(); }
  // By slot.
  const std::vector<uint32_t>& entry_of_slot() const { return entry_of_slot_; }

 private:
  static constexpr size_t kFigures = 4;  // flops, vector flops, bytes, live bytes
  struct Class {
    CategoryId category;
    Split split;
    std::array<std::array<int64_t, 8>, kFigures> polynomials;
    int64_t launches;
    int64_t calls;
    OperatorSize size;  // of one pass: a product and its transpose are one work, and not one law

    bool operator==(const Class&) const = default;
  };
  struct Kernel;
  using ColumnValues = std::array<double, kFigures * 8>;  // monomials of a frame, by column

  size_t row_columns() const { return monomial_of_column_.size() + kConstants; }
  size_t FigureAt(size_t index, size_t column) const;
  ColumnValues ValuesOf(const Frame& frame) const;
  void AddClass(size_t slot, const Class& added);
  void LayOut(Precision precision);

  std::vector<Class> classes_;
  std::vector<size_t> first_slots_;
  // The monomials that any class has, figure after figure: those of figure f are from first_column_[f] on.
  std::vector<size_t> monomial_of_column_;
  std::array<size_t, kFigures + 1> first_column_ = {};
  // What a class has besides its coefficients, in columns after theirs. Reciprocals are of the shares of the peaks.
  enum Constant : size_t { kLaunches, kCalls, kGpuMatrix, kGpuVector, kGpuMemory, kCpuMatrix, kCpuVector, kCpuMemory };
  static constexpr size_t kConstants = 8;
  // Vector after vector of classes, filled up to whole ones, and in it column after column: in the order in which a
  // pass reads them.
  std::vector<double> figures_;
  // By class, filled up to whole vectors.
  std::vector<double> calls_;
  std::vector<uint8_t> splits_;
  std::vector<uint32_t> entry_of_slot_;
  std::vector<size_t> free_slots_;
  bool free_slots_depend_on_rows_ = true;
};

// Work of one call, whatever the table: runs the tree's function. live_bytes counts what is held.
Cost CostOfSlot(const Slot& slot, const Frame& frame, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_PASS_TABLE_H_
