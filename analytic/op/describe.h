// What CostOf computes, for a reader: the formulas of an operator family in symbols, what each symbol means, and its
// value in one call.
//
// The formulas are data: documents print them, and a test evaluates them for every operator of every leaf and compares
// with CostOf to the last byte. A new member of Operator does not compile without a description.
#ifndef DSOCR_ANALYTIC_OP_DESCRIBE_H_
#define DSOCR_ANALYTIC_OP_DESCRIBE_H_

#include <string_view>
#include <vector>

#include "analytic/formula/expression.h"
#include "analytic/op/operator.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// One symbol of a family's formulas. Texts are of static storage.
struct SymbolMeaning {
  std::string_view tex;
  std::string_view meaning;
  Number value;  // in this call
};

// A symbol that stands for an expression of others: the output side of a convolution.
struct Abbreviation {
  std::string_view tex;
  Expression expression;
};

// Texts are Markdown with inline LaTeX between dollars, of static storage. Two calls of one leaf differ in values
// alone.
struct OperatorDescription {
  std::string_view family;      // "Matrix product"
  std::string_view definition;  // what one call computes
  std::vector<SymbolMeaning> symbols;
  std::vector<Abbreviation> abbreviations;
  Expression flops = 0;
  Expression vector_flops = 0;
  Expression read_bytes = 0;
  Expression write_bytes = 0;
  Expression live_bytes = 0;  // activations alive during the call
  Expression launches = 1;
  Expression pieces = 1;
  std::string_view assumptions;  // what is counted and what is not
  std::string_view source;
};

OperatorDescription Describe(const Operator& op, Precision precision);

// E (1 - (1 - k/E)^T): the experts that at least one of T tokens picks, where each picks k of E evenly.
Expression DistinctExpertsFormula(int64_t experts, int64_t k, int64_t tokens);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_DESCRIBE_H_
