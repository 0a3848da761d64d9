// A formula as a value: from one expression come its number, its text in symbols and its text with the numbers put in.
//
//   const Expression m = Expression::Symbol("m", 3), n = Expression::Symbol("n", 5);
//   const Expression f = 2 * m * (n + 1);
//   f.Value()     36
//   f.Symbolic()  "2 m (n + 1)"             LaTeX
//   f.Numeric()   "2 \cdot 3 \cdot (5 + 1)"
//
// Immutable, cheap to copy; safe from any thread.
#ifndef DSOCR_ANALYTIC_FORMULA_EXPRESSION_H_
#define DSOCR_ANALYTIC_FORMULA_EXPRESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace dsocr::analytic {

// Integers stay exact until a real takes part.
using Number = std::variant<int64_t, double>;

double RealOf(const Number& number);
// LaTeX with grouped digits, "1{,}024"; of a real the shortest text that reads back equal.
std::string TexOf(const Number& number);

class Expression {
 public:
  Expression(int64_t constant);                                             // NOLINT: formulas are written as formulas
  Expression(int constant) : Expression(static_cast<int64_t>(constant)) {}  // NOLINT
  static Expression Symbol(std::string_view tex, Number value);             // `tex`: of static storage

  Number Value() const;
  int64_t Integer() const;  // REQUIRES: the value is an integer
  std::string Symbolic() const;
  std::string Numeric() const;
  bool is_constant() const;  // no symbol in it

  friend Expression operator+(const Expression& a, const Expression& b);
  friend Expression operator-(const Expression& a, const Expression& b);
  friend Expression operator*(const Expression& a, const Expression& b);
  friend Expression operator/(const Expression& a, const Expression& b);  // of reals
  friend Expression Power(const Expression& base, const Expression& exponent);
  // Integers:
  friend Expression Floor(const Expression& x);
  friend Expression Ceil(const Expression& x);
  friend Expression Round(const Expression& x);            // to the nearest, halves away from zero
  friend Expression CeilLog2OnePlus(const Expression& x);  // ceil(log2(x + 1)) of an integer

 private:
  enum class Kind { kConstant, kSymbol, kSum, kDifference, kProduct, kQuotient, kPower, kFloor, kCeil, kRound, kLog2 };
  struct Term {
    Kind kind;
    Number value;          // of a constant or symbol
    std::string_view tex;  // of a symbol
    std::vector<Expression> operands;
  };

  explicit Expression(std::shared_ptr<const Term> term) : term_(std::move(term)) {}
  static Expression Of(Kind kind, const Expression& a, const Expression& b);
  static Expression Of(Kind kind, const Expression& a);

  bool is_sum() const { return term_->kind == Kind::kSum || term_->kind == Kind::kDifference; }
  void AppendTo(std::string* text, bool with_numbers) const;
  void AppendFactorTo(std::string* text, bool with_numbers) const;
  void AppendProductTo(std::string* text, bool with_numbers) const;
  bool StartsWithDigit(bool with_numbers) const;

  std::shared_ptr<const Term> term_;
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_FORMULA_EXPRESSION_H_
