#include "analytic/op/describe.h"

#include <utility>
#include <variant>

namespace dsocr::analytic {
namespace {

constexpr std::string_view kRoofline = "Williams, Waterman, Patterson, \"Roofline\", CACM 52(4), 2009";
constexpr std::string_view kFlopCounter =
    "multiply-adds as torch.utils.flop_counter of PyTorch 2.11 counts them; traffic: Williams, Waterman, Patterson, "
    "\"Roofline\", CACM 52(4), 2009";
constexpr std::string_view kOnceEach =
    "every operand is read once and every result written once; a real kernel moves at least this";

// Gathers symbols in the order in which they are named.
class Writer {
 public:
  Writer(std::string_view family, std::string_view definition) {
    description_.family = family;
    description_.definition = definition;
    description_.assumptions = kOnceEach;
    description_.source = kRoofline;
  }

  Expression Symbol(std::string_view tex, std::string_view meaning, Number value) {
    description_.symbols.push_back({tex, meaning, value});
    return Expression::Symbol(tex, value);
  }
  Expression Element(Precision precision) { return Symbol("e", "bytes of an element", ElementBytes(precision)); }
  Expression Flag(std::string_view tex, std::string_view meaning, bool is_set) {
    return Symbol(tex, meaning, int64_t{is_set ? 1 : 0});
  }
  Expression Pieces(double pieces) { return Symbol("n", "equal pieces, one after another", pieces); }
  Expression Abbreviate(std::string_view tex, const Expression& expression) {
    description_.abbreviations.push_back({tex, expression});
    return Expression::Symbol(tex, expression.Value());
  }

  // MatrixBytes of precision.h.
  Expression Weights(Precision precision, const Expression& parameters, const Expression& element) {
    switch (precision) {
      case Precision::kFp8w:
        return parameters + 4 * Ceil(parameters / (128 * 128));
      case Precision::kInt4w:
        return Ceil(parameters / 2) + 2 * Ceil(parameters / 128);
      default:
        return element * parameters;
    }
  }

  OperatorDescription* operator->() { return &description_; }
  OperatorDescription Take() { return std::move(description_); }

 private:
  OperatorDescription description_;
};

OperatorDescription DescriptionOf(const Gemm& op, Precision precision) {
  Writer w("Matrix product",
           "$C = A B$, $b$ times; $A$ is $m \\times k$, $B$ is $k \\times n$, with a bias of $n$ values added where "
           "$\\beta = 1$");
  const Expression b = w.Symbol("b", "products in one call", op.batch);
  const Expression m = w.Symbol("m", "rows of A: the leading dimensions of the input", op.m);
  const Expression n = w.Symbol("n", "columns of B: output features", op.n);
  const Expression k = w.Symbol("k", "shared dimension: input features", op.k);
  const Expression bias = w.Flag("\\beta", "1 with a bias, else 0", op.has_bias);
  const Expression e = w.Element(precision);
  w->flops = 2 * b * m * n * k;
  w->vector_flops = bias * b * m * n;
  const Expression right = b * k * n + bias * n;
  w->read_bytes = e * b * m * k + (op.b_is_weight ? w.Weights(precision, right, e) : e * right);
  w->write_bytes = e * b * m * n;
  const Expression a_and_c = b * m * k + b * m * n;
  w->live_bytes = e * (op.b_is_weight ? a_and_c : a_and_c + b * k * n);
  w->source = kFlopCounter;
  return w.Take();
}

OperatorDescription DescriptionOf(const Conv2d& op, Precision precision) {
  Writer w("Convolution",
           "an $r \\times r$ window moves over square images; every output value is a product of length $c r^2$, so it "
           "is a matrix product with $m = B o^2$, $n = d$, $k = c r^2$");
  const Expression batch = w.Symbol("B", "images", op.batch);
  const Expression c = w.Symbol("c", "channels in", op.in_channels);
  const Expression d = w.Symbol("d", "channels out", op.out_channels);
  const Expression i = w.Symbol("i", "side of the input", op.in_side);
  const Expression r = w.Symbol("r", "side of the kernel", op.kernel);
  const Expression s = w.Symbol("s", "stride", op.stride);
  const Expression p = w.Symbol("p", "padding on each edge", op.padding);
  const Expression bias = w.Flag("\\beta", "1 with a bias, else 0", op.has_bias);
  const Expression e = w.Element(precision);
  const Expression o = w.Abbreviate("o", Floor((i + 2 * p - r) / s) + 1);
  w->flops = 2 * batch * d * o * o * c * r * r;
  w->vector_flops = bias * batch * d * o * o;
  w->read_bytes = e * batch * c * i * i + w.Weights(precision, d * (c * r * r + bias), e);
  w->write_bytes = e * batch * d * o * o;
  w->live_bytes = e * (batch * c * i * i + batch * d * o * o);
  w->assumptions =
      "padding is multiplied like any other value; every operand is read once and every result written once";
  w->source = kFlopCounter;
  return w.Take();
}

OperatorDescription DescriptionOf(const Attention& op, Precision precision) {
  Writer w("Attention",
           "$O = \\mathrm{softmax}(Q K^T / \\sqrt{d} + \\mathrm{bias} + \\mathrm{mask}) V$ for every head, in one "
           "fused operator");
  const Expression batch = w.Symbol("B", "sequences", op.batch);
  const Expression h = w.Symbol("h", "query heads", op.heads);
  const Expression g = w.Symbol("g", "key and value heads", op.kv_heads);
  const Expression q = w.Symbol("q", "queries of a sequence", op.query_len);
  const Expression keys = w.Symbol("K", "keys of a sequence", op.kv_len);
  const Expression d = w.Symbol("d", "values of a head", op.head_dim);
  const Expression bias = w.Flag("\\beta", "1 with a bias for each head and pair, else 0", op.has_bias);
  const Expression mask = w.Flag("\\mu", "1 with a mask for each pair, the same for all heads, else 0", op.has_mask);
  const Expression e = w.Element(precision);
  w->flops = 4 * batch * h * q * keys * d;
  w->vector_flops = (6 + bias + mask) * batch * h * q * keys;
  w->read_bytes = e * batch * (h * q * d + 2 * g * keys * d + (bias * h + mask) * q * keys);
  w->write_bytes = e * batch * h * q * d;
  const Expression biases = (bias * h + mask) * q * keys;
  w->live_bytes = e * batch * (op.kv_is_cached ? 2 * h * q * d + biases : 2 * h * q * d + 2 * g * keys * d + biases);
  w->assumptions =
      "two products over the full square of queries and keys, with no saving for a causal mask; 6 vector FLOPs a score "
      "(scale, maximum, subtract, exponential, sum, divide), 1 for a bias and 1 for a mask; scores stay on the chip";
  w->source = "Dao et al., \"FlashAttention\", NeurIPS 2022; multiply-adds as torch.utils.flop_counter of PyTorch 2.11";
  return w.Take();
}

OperatorDescription DescriptionOf(const Norm& op, Precision precision) {
  const bool is_rms = op.kind == NormKind::kRms;
  Writer w("Normalisation", is_rms ? "$y = x / \\sqrt{\\mathrm{mean}(x^2) + \\varepsilon} \\cdot w$ over rows (RMSNorm)"
                                   : "$y = (x - \\mathrm{mean}(x)) / \\sqrt{\\mathrm{var}(x) + \\varepsilon} \\cdot w "
                                     "+ v$ over rows (LayerNorm)");
  const Expression r = w.Symbol("r", "rows", op.rows);
  const Expression c = w.Symbol("c", "values of a row", op.width);
  const Expression e = w.Element(precision);
  w->vector_flops = (is_rms ? 4 : 8) * r * c;
  w->read_bytes = e * (r * c + (is_rms ? Expression(1) : Expression(2)) * c);
  w->write_bytes = e * r * c;
  w->live_bytes = is_rms && ElementBytes(precision) < 4 ? (2 * e + 8) * r * c : 2 * e * r * c;
  w->launches = is_rms ? 8 : op.kind == NormKind::kLayer2d ? 9 : 1;
  w->assumptions =
      is_rms ? "4 vector FLOPs a value: square, sum, multiply, scale; launches as the reference writes it: cast, "
               "square, mean, add, inverse root, multiply, cast, scale"
      : op.kind == NormKind::kLayer2d
          ? "8 vector FLOPs a value: two reductions at 1 and 3, subtract, multiply, scale, shift; launches as the "
            "reference writes it: mean, subtract, square, mean, add, root, divide, scale, shift"
          : "8 vector FLOPs a value: two reductions at 1 and 3, subtract, multiply, scale, shift; one fused kernel";
  return w.Take();
}

OperatorDescription DescriptionOf(const Elementwise& op, Precision precision) {
  Writer w("Pointwise arithmetic", "each result is a fixed number of operations on values of its operands");
  const Expression x = w.Symbol("x", "values of all operands, broadcast ones once", op.read);
  const Expression y = w.Symbol("y", "results", op.written);
  const Expression f = w.Symbol("f", "operations a result", op.flops_per_element);
  const Expression n = w.Pieces(op.pieces);
  const Expression e = w.Element(precision);
  w->vector_flops = f * y;
  w->live_bytes = Round(e * (op.is_in_place ? x : x + y) / n);
  if (op.widened_bytes > 0 && ElementBytes(precision) < 4) {
    w->live_bytes = w->live_bytes + w.Symbol("v", "bytes of copies in fp32, alive besides", op.widened_bytes);
  }
  w->read_bytes = e * x;
  w->write_bytes = e * y;
  w->launches = Ceil(n);
  w->pieces = n;
  return w.Take();
}

OperatorDescription DescriptionOf(const Copy& op, Precision precision) {
  Writer w("Copy", "values move to another layout, without arithmetic");
  const Expression x = w.Symbol("x", "values read", op.read);
  const Expression y = w.Symbol("y", "values written", op.written);
  const Expression e = w.Element(precision);
  w->read_bytes = e * x;
  w->write_bytes = e * y;
  w->live_bytes = e * (x + y);
  return w.Take();
}

struct ActivationText {
  std::string_view definition;
  std::string_view assumptions;
  int flops;
};

ActivationText TextOf(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kQuickGelu:
      return {"$y = x \\sigma(1.702 x)$ for each value (quick GELU)",
              "6 vector FLOPs a value: scale, sigmoid as 4, product; three operators in the reference", 6};
    case ActivationKind::kSilu:
      return {"$y = x \\sigma(x)$ for each value (SiLU)", "5 vector FLOPs a value: sigmoid as 4, product", 5};
    case ActivationKind::kGelu:
      break;
  }
  return {"$y = x \\Phi(x)$ for each value, with the error function (GELU)",
          "8 vector FLOPs a value: scale, error function as 4, add, two products", 8};
}

OperatorDescription DescriptionOf(const Activation& op, Precision precision) {
  const ActivationText text = TextOf(op.kind);
  Writer w("Activation", text.definition);
  const Expression x = w.Symbol("x", "values", op.elements);
  const Expression n = w.Pieces(op.pieces);
  const Expression e = w.Element(precision);
  w->vector_flops = text.flops * x;
  w->live_bytes = Round((op.kind == ActivationKind::kQuickGelu ? 2 * e * x : e * x) / n);
  w->read_bytes = e * x;
  w->write_bytes = e * x;
  w->launches = op.kind == ActivationKind::kQuickGelu ? Expression(3) : Ceil(n);
  w->pieces = n;
  w->assumptions = text.assumptions;
  return w.Take();
}

OperatorDescription DescriptionOf(const Rope& op, Precision precision) {
  Writer w("Rotary embedding",
           "$y = x \\cos \\theta + \\mathrm{rot}(x) \\sin \\theta$ for queries and keys, where rot swaps the halves of "
           "a head and negates one");
  const Expression batch = w.Symbol("B", "sequences", op.sequences);
  const Expression tokens = w.Symbol("T", "tokens of a sequence", op.tokens);
  const Expression h = w.Symbol("h", "heads of queries and keys together", op.heads);
  const Expression d = w.Symbol("d", "values of a head", op.head_dim);
  const Expression e = w.Element(precision);
  w->vector_flops = 3 * batch * tokens * h * d;
  w->read_bytes = e * (batch * tokens * h * d + 2 * tokens * d);
  w->write_bytes = e * batch * tokens * h * d;
  w->live_bytes = 2 * e * batch * tokens * h * d;
  w->launches = 10;
  w->assumptions =
      "sines and cosines are read from a table that is built when the model is loaded; launches as the reference "
      "writes it: for queries and for keys negate, join, two products, sum";
  w->source = "Su et al., \"RoFormer\", arXiv:2104.09864, in the half-split layout of the reference";
  return w.Take();
}

OperatorDescription DescriptionOf(const Softmax& op, Precision precision) {
  Writer w("Softmax", "$y = \\exp(x - \\max x) / \\sum \\exp(x - \\max x)$ over rows, in fp32");
  const Expression r = w.Symbol("r", "rows", op.rows);
  const Expression c = w.Symbol("c", "values of a row", op.width);
  const Expression e = w.Element(precision);
  w->vector_flops = 5 * r * c;
  w->read_bytes = e * r * c;
  w->write_bytes = 4 * r * c;
  w->live_bytes = (e + 4) * r * c;
  w->assumptions = "5 vector FLOPs a value: maximum, subtract, exponential, sum, divide; results have 4 bytes";
  return w.Take();
}

OperatorDescription DescriptionOf(const Gather& op, Precision precision) {
  Writer w("Row lookup", "rows are moved by index: embedding, gather, put");
  const Expression r = w.Symbol("r", "rows moved", op.rows);
  const Expression c = w.Symbol("c", "values of a row", op.width);
  const Expression e = w.Element(precision);
  w->read_bytes = e * r * c + 8 * r;
  w->write_bytes = e * r * c;
  w->live_bytes = op.from_weights ? e * r * c : 2 * e * r * c;
  w->assumptions = "an index has 8 bytes; of a table only the rows that are named are read";
  return w.Take();
}

// One axis keeps its length and costs nothing, or takes 2 taps FLOPs for each value along it.
Expression AxisFlops(const Interpolate& op, const Expression& taps, const Expression& in, const Expression& out,
                     const Expression& lines, const Expression& channels) {
  if (in.Integer() == out.Integer()) {
    return 0;
  }
  return op.is_antialiased ? 2 * taps * Ceil(in / out) * out * lines * channels : 2 * taps * out * lines * channels;
}

OperatorDescription DescriptionOf(const Interpolate& op, Precision precision) {
  Writer w("Interpolation", "a table with $c$ values a position is resampled, one axis after the other");
  const Expression c = w.Symbol("c", "values of a position", op.channels);
  const Expression in_height = w.Symbol("h", "height of the table", op.in_height);
  const Expression in_width = w.Symbol("w", "width of the table", op.in_width);
  const Expression out_height = w.Symbol("h'", "height of the result", op.out_height);
  const Expression out_width = w.Symbol("w'", "width of the result", op.out_width);
  const Expression taps = w.Symbol("t", "inputs of a result along one axis: bicubic 4, linear 2", op.taps);
  const Expression e = w.Element(precision);
  const Expression across = AxisFlops(op, taps, in_width, out_width, in_height, c);
  const Expression down = AxisFlops(op, taps, in_height, out_height, out_width, c);
  w->vector_flops = across.is_constant() ? down : down.is_constant() ? across : across + down;
  w->read_bytes = e * in_height * in_width * c;
  w->write_bytes = e * out_height * out_width * c;
  const Expression out = (4 + e) * out_height * out_width * c;
  w->live_bytes = ElementBytes(precision) < 4 ? 4 * in_height * in_width * c + out : out;
  w->launches = 5;
  w->assumptions =
      "an axis that keeps its length costs nothing; with antialiasing the window widens by the reduction, rounded up; "
      "launches: channels first, to fp32, resample, back to the type, channels last";
  return w.Take();
}

OperatorDescription DescriptionOf(const TopK& op, Precision) {
  Writer w("Top-k", "the $k$ largest of $E$ scores of each token");
  const Expression tokens = w.Symbol("T", "tokens", op.tokens);
  const Expression experts = w.Symbol("E", "experts", op.experts);
  const Expression k = w.Symbol("k", "experts a token", op.k);
  w->vector_flops = tokens * experts * k;
  w->read_bytes = 4 * tokens * experts;
  w->write_bytes = 12 * tokens * k;
  w->live_bytes = 4 * tokens * experts + 12 * tokens * k;
  w->assumptions = "one comparison for each score and pick; a score has 4 bytes, an index 8";
  return w.Take();
}

OperatorDescription DescriptionOf(const Dispatch& op, Precision) {
  Writer w("Dispatch to experts",
           "pairs of token and expert are sorted by expert and counted, and the counts go to the host");
  const Expression pairs = w.Symbol("P", "pairs: tokens times experts a token", op.pairs);
  const Expression experts = w.Symbol("E", "experts", op.experts);
  w->vector_flops = pairs * CeilLog2OnePlus(pairs);
  w->read_bytes = 16 * pairs;
  w->write_bytes = 16 * pairs + 8 * experts;
  w->live_bytes = 32 * pairs + 8 * experts;
  w->launches = 5;
  w->assumptions =
      "comparisons of a merge sort; key and index have 8 bytes each; launches: flatten, sort, divide, count, copy to "
      "the host";
  return w.Take();
}

OperatorDescription DescriptionOf(const GroupedGemm& op, Precision precision) {
  Writer w("Grouped matrix product",
           "$C_x = A_x B_x$ for each expert $x$ that has tokens; $A_x$ holds the rows of its tokens, $r$ among all "
           "experts, and $B_x$ is $k \\times n$");
  const Expression distinct = w.Symbol(
      "D",
      op.hit_is_recorded ? "distinct experts hit, by the recorded routing" : "distinct experts hit, in expectation",
      op.groups);
  const Expression r = w.Symbol("r", "rows: tokens times experts a token", op.rows);
  const Expression n = w.Symbol("n", "columns: output features", op.n);
  const Expression k = w.Symbol("k", "shared dimension: input features", op.k);
  const Expression e = w.Element(precision);
  w->flops = 2 * r * n * k;
  const Expression g = w.Flag(
      "g", "1 where the device picks the experts, and copies their weights for one product, else 0", op.is_gathered);
  const Expression weights = w.Weights(precision, Round(distinct * n * k), e);
  w->read_bytes = e * r * k + (1 + g) * weights;
  w->write_bytes = e * r * n + g * weights;
  w->live_bytes = e * w.Symbol("L", "values alive: rows in, between and out, of this product and those beside it",
                               op.live_elements) +
                  w.Symbol("R", "bytes of the routing: weights and indices", op.routing_bytes);
  w->launches = 2 * g + (1 - g) * Ceil(distinct);
  w->pieces = g + (1 - g) * distinct;
  w->assumptions =
      op.hit_is_recorded
          ? "rows spread evenly over the experts that are hit; FLOPs do not depend on how they spread, the weights "
            "read do"
          : "tokens spread evenly over the experts; FLOPs do not depend on how they spread, the weights read do";
  w->source = kFlopCounter;
  return w.Take();
}

OperatorDescription DescriptionOf(const Sampling& op, Precision precision) {
  Writer w("Choice of a token",
           "logits to fp32, tokens that would repeat an n-gram banned, arg-max, token to the host");
  const Expression batch = w.Symbol("B", "sequences", op.rows);
  const Expression vocabulary = w.Symbol("V", "tokens of the vocabulary", op.vocabulary);
  const Expression s = w.Symbol("s", "tokens of the sequence so far", op.context);
  const Expression e = w.Element(precision);
  w->vector_flops = batch * vocabulary + batch * s;
  w->read_bytes = batch * vocabulary * (e + 4) + 8 * batch * s;
  w->write_bytes = 4 * batch * vocabulary + 8 * batch;
  w->live_bytes = ElementBytes(precision) < 4 ? (e + 4) * batch * vocabulary : 4 * batch * vocabulary;
  w->launches = 3;
  w->assumptions =
      "one comparison a logit and one a token so far; a logit has 4 bytes, a token 8; launches: cast, arg-max, copy to "
      "the host";
  return w.Take();
}

}  // namespace

OperatorDescription Describe(const Operator& op, Precision precision) {
  return std::visit([precision](const auto& family) { return DescriptionOf(family, precision); }, op);
}

Expression DistinctExpertsFormula(int64_t experts, int64_t k, int64_t tokens) {
  const Expression all = Expression::Symbol("E", experts);
  return all * (1 - Power(1 - Expression::Symbol("k", k) / all, Expression::Symbol("T", tokens)));
}

}  // namespace dsocr::analytic
