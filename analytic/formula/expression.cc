#include "analytic/formula/expression.h"

#include <bit>
#include <cmath>
#include <functional>
#include <utility>

#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

template <typename Operation>
Number Combine(const Number& a, const Number& b, Operation operation) {
  if (const auto* x = std::get_if<int64_t>(&a), *y = std::get_if<int64_t>(&b); x != nullptr && y != nullptr) {
    return operation(*x, *y);
  }
  return operation(RealOf(a), RealOf(b));
}

std::string Grouped(std::string_view digits) {
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && digits[i - 1] != '-' && (digits.size() - i) % 3 == 0) {
      text += "{,}";
    }
    text += digits[i];
  }
  return text;
}

}  // namespace

double RealOf(const Number& number) {
  return std::visit([](auto value) { return static_cast<double>(value); }, number);
}

std::string TexOf(const Number& number) {
  if (const auto* integer = std::get_if<int64_t>(&number)) {
    return Grouped(std::to_string(*integer));
  }
  const std::string text = fmt::format("{}", std::get<double>(number));
  const size_t point = text.find_first_of(".e");
  return point == std::string::npos ? Grouped(text) : Grouped(text.substr(0, point)) + text.substr(point);
}

Expression::Expression(int64_t constant)
    : term_(std::make_shared<Term>(Term{Kind::kConstant, constant, {}, /*operands=*/{}})) {}

Expression Expression::Symbol(std::string_view tex, Number value) {
  return Expression(std::make_shared<Term>(Term{Kind::kSymbol, value, tex, /*operands=*/{}}));
}

// A sum of sums is one sum, and a product of products one product: the text needs no brackets for them.
Expression Expression::Of(Kind kind, const Expression& a, const Expression& b) {
  Term term{kind, int64_t{0}, {}, /*operands=*/{}};
  if (a.term_->kind == kind && (kind == Kind::kSum || kind == Kind::kProduct)) {
    term.operands = a.term_->operands;
  } else {
    term.operands = {a};
  }
  term.operands.push_back(b);
  return Expression(std::make_shared<Term>(std::move(term)));
}

Expression Expression::Of(Kind kind, const Expression& a) {
  return Expression(std::make_shared<Term>(Term{kind, int64_t{0}, {}, {a}}));
}

Expression operator+(const Expression& a, const Expression& b) { return Expression::Of(Expression::Kind::kSum, a, b); }
Expression operator-(const Expression& a, const Expression& b) {
  return Expression::Of(Expression::Kind::kDifference, a, b);
}
Expression operator*(const Expression& a, const Expression& b) {
  return Expression::Of(Expression::Kind::kProduct, a, b);
}
Expression operator/(const Expression& a, const Expression& b) {
  return Expression::Of(Expression::Kind::kQuotient, a, b);
}
Expression Power(const Expression& base, const Expression& exponent) {
  return Expression::Of(Expression::Kind::kPower, base, exponent);
}
Expression Floor(const Expression& x) { return Expression::Of(Expression::Kind::kFloor, x); }
Expression Ceil(const Expression& x) { return Expression::Of(Expression::Kind::kCeil, x); }
Expression Round(const Expression& x) { return Expression::Of(Expression::Kind::kRound, x); }
Expression CeilLog2OnePlus(const Expression& x) { return Expression::Of(Expression::Kind::kLog2, x); }

Number Expression::Value() const {
  const std::vector<Expression>& operands = term_->operands;
  const auto value = [&](size_t i) { return operands[i].Value(); };
  const auto fold = [&](auto operation) {
    Number result = value(0);
    for (size_t i = 1; i < operands.size(); ++i) {
      result = Combine(result, value(i), operation);
    }
    return result;
  };
  switch (term_->kind) {
    case Kind::kConstant:
    case Kind::kSymbol:
      return term_->value;
    case Kind::kSum:
      return fold([](auto a, auto b) -> Number { return a + b; });
    case Kind::kDifference:
      return fold([](auto a, auto b) -> Number { return a - b; });
    case Kind::kProduct:
      return fold([](auto a, auto b) -> Number { return a * b; });
    case Kind::kQuotient:
      return RealOf(value(0)) / RealOf(value(1));
    case Kind::kPower:
      return std::pow(RealOf(value(0)), RealOf(value(1)));
    case Kind::kFloor:
      return int64_t{std::llround(std::floor(RealOf(value(0))))};
    case Kind::kCeil:
      return int64_t{std::llround(std::ceil(RealOf(value(0))))};
    case Kind::kRound:
      return int64_t{std::llround(RealOf(value(0)))};
    case Kind::kLog2:
      return static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(operands[0].Integer())));
  }
  return int64_t{0};
}

int64_t Expression::Integer() const { return std::get<int64_t>(Value()); }

bool Expression::is_constant() const {
  if (term_->operands.empty()) {
    return term_->kind == Kind::kConstant;
  }
  for (const Expression& operand : term_->operands) {
    if (!operand.is_constant()) {
      return false;
    }
  }
  return true;
}

std::string Expression::Symbolic() const {
  std::string text;
  AppendTo(&text, /*with_numbers=*/false);
  return text;
}

std::string Expression::Numeric() const {
  std::string text;
  AppendTo(&text, /*with_numbers=*/true);
  return text;
}

bool Expression::StartsWithDigit(bool with_numbers) const {
  switch (term_->kind) {
    case Kind::kConstant:
      return true;
    case Kind::kSymbol:
      return with_numbers;
    case Kind::kProduct:
    case Kind::kPower:
      return term_->operands.front().StartsWithDigit(with_numbers);
    default:
      return false;
  }
}

void Expression::AppendFactorTo(std::string* text, bool with_numbers) const {
  if (!is_sum()) {
    AppendTo(text, with_numbers);
    return;
  }
  *text += '(';
  AppendTo(text, with_numbers);
  *text += ')';
}

// Symbols stand side by side; numbers need a dot between them.
void Expression::AppendProductTo(std::string* text, bool with_numbers) const {
  for (size_t i = 0; i < term_->operands.size(); ++i) {
    const Expression& factor = term_->operands[i];
    if (i > 0) {
      *text += with_numbers || factor.StartsWithDigit(with_numbers) ? " \\cdot " : " ";
    }
    factor.AppendFactorTo(text, with_numbers);
  }
}

void Expression::AppendTo(std::string* text, bool with_numbers) const {
  const std::vector<Expression>& operands = term_->operands;
  const auto enclose = [&](std::string_view open, std::string_view close) {
    *text += open;
    operands[0].AppendTo(text, with_numbers);
    *text += close;
  };
  switch (term_->kind) {
    case Kind::kConstant:
      *text += TexOf(term_->value);
      return;
    case Kind::kSymbol:
      *text += with_numbers ? TexOf(term_->value) : std::string(term_->tex);
      return;
    case Kind::kSum:
      for (size_t i = 0; i < operands.size(); ++i) {
        *text += i > 0 ? " + " : "";
        operands[i].AppendTo(text, with_numbers);
      }
      return;
    case Kind::kDifference:
      operands[0].AppendTo(text, with_numbers);
      *text += " - ";
      operands[1].AppendFactorTo(text, with_numbers);
      return;
    case Kind::kProduct:
      AppendProductTo(text, with_numbers);
      return;
    case Kind::kQuotient:
      enclose("\\frac{", "}{");
      operands[1].AppendTo(text, with_numbers);
      *text += '}';
      return;
    case Kind::kPower:
      operands[0].AppendFactorTo(text, with_numbers);
      *text += "^{";
      operands[1].AppendTo(text, with_numbers);
      *text += '}';
      return;
    case Kind::kFloor:
      enclose("\\left\\lfloor ", " \\right\\rfloor");
      return;
    case Kind::kCeil:
      enclose("\\left\\lceil ", " \\right\\rceil");
      return;
    case Kind::kRound:
      enclose("\\,\\mathrm{round}(", ")");
      return;
    case Kind::kLog2:
      enclose("\\left\\lceil \\log_2 (", " + 1) \\right\\rceil");
      return;
  }
}

}  // namespace dsocr::analytic
