#include "cupti/attribution/kernel_category.h"

#include <algorithm>
#include <bitset>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWordChar(char c) { return IsUpper(c) || IsLower(c) || IsDigit(c); }
char Lower(char c) { return IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// --- A text to match: one spelling for layer_norm, LayerNorm and layernorm.

// Lower case without underscores; whatever else is no letter and no digit is one blank. Where a word started is
// remembered: after an underscore, or where a capital follows a small letter.
class Words {
 public:
  explicit Words(std::string_view text) {
    letters_.reserve(text.size());
    starts_.reserve(text.size());
    bool is_start = true;
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (!IsWordChar(c)) {
        is_start = true;
        if (c != '_' && !letters_.empty() && letters_.back() != ' ') {
          Push(' ', true);
        }
        continue;
      }
      const char before = i == 0 ? '_' : text[i - 1];
      const bool next_is_small = i + 1 < text.size() && IsLower(text[i + 1]);
      Push(Lower(c),
           is_start || (IsUpper(c) && (IsLower(before) || IsDigit(before) || (IsUpper(before) && next_is_small))));
      is_start = false;
    }
  }

  // `*` before a pattern: anywhere, `=`: the whole text, else only where a word starts. `|` after it: a word must end
  // there.
  bool Have(std::string_view pattern) const {
    if (pattern.front() == '=') {
      return letters_ == pattern.substr(1);
    }
    const bool is_anywhere = pattern.front() == '*';
    const bool is_whole = pattern.back() == '|';
    pattern.remove_prefix(is_anywhere ? 1 : 0);
    pattern.remove_suffix(is_whole ? 1 : 0);
    for (size_t at = letters_.find(pattern); at != std::string::npos; at = letters_.find(pattern, at + 1)) {
      const size_t end = at + pattern.size();
      if ((is_anywhere || starts_[at]) && (!is_whole || end == letters_.size() || starts_[end])) {
        return true;
      }
    }
    return false;
  }

 private:
  void Push(char c, bool is_start) {
    letters_.push_back(c);
    starts_.push_back(is_start);
  }

  std::string letters_;
  std::vector<bool> starts_;
};

// --- The tables.

struct Row {
  std::string_view category;
  std::string_view patterns;  // separated by blanks
};

// First row that fits wins, so the specific stands before the general: fused attention has a softmax, a product's name
// lists its epilogue, a norm takes the addition before it and the quantisation after it along.
constexpr Row kKernelRows[] = {
    {"copy", "memcpy *rocclrcopy batchmemcpy"},
    {"memset", "memset *rocclrfill"},
    {"communication",
     "nccl rccl nvshmem mscclpp *allreduce crossdevicereduce *allgather *reducescatter alltoall multimem oneshot "
     "twoshot lamport symmmem quickreduce customar sendrecv userbuffers barrierkernel"},
    {"rope", "rope| ropekernel ropequant ropeneox ropekv mrope *rotary *applyrope *qknormrope *krope *qrope *normrope"},
    {"copy",  // what is written to a cache
     "reshapeandcache concatandcache concatmla setmla setkvbuffer storekv storecache writekv copyblocks copykv "
     "swapblocks appendpagedkv updatekvcache *repack"},
    {"gemm", "nvjet cijk bmm| matmulogs fmoe mfmamoe"},
    {"activation", "*actandmul siluandmul silumul geluandmul swiglu gatedact doactivation"},
    {"norm",
     "*layernorm *rmsnorm *groupnorm *batchnorm *instancenorm weightnorm bnfw bnbw lnfwd lnbwd l2norm| l2normfwd "
     "normkernel| rowwisemoments *gammabeta computefusedparams computebackwardfused compute1dbackwardfused "
     "computeinternalgradients computegradinput cuapplylayer"},
    {"sampling",
     "*sampling samplekernel sampletoken samplerecovered samplemultinomial *multinomial topktopp topptopk "
     "*renormprob renormrows *masklogits temperature *gumbel rejectionsample rejectiongreedy rejectionrandom "
     "*penalties *penalty minp| distribution philox poisson gammacuda standardgamma randuniform binomial randperm "
     "bernoulli generateseed gensequenced"},
    {"attention",
     "flashfwd flashbwd flashattn flashattention flashdecod flashmla *fmha *attention *attn sdpa *sdpa mha| mmha xqa "
     "mqa| mla| mladecode mlaprefill *batchprefillwith *batchdecodewith *singleprefillwith *singledecodewith "
     "mergestates *mergestates =fwdkernel =splitkreduce fwdkernelsplitk fwdkernelalibi chunkedprefill fwdkernelstage "
     "fwdgroupedkernelstage reducesegments preparevarlen chunkfwdkernel recomputewu solvetril *deltarule sagefwd"},
    {"routing",
     "topk *topk| *topkkernel gathertopk topkgating groupedtopk *moetopk moealign moepermute moeunpermute *moesort "
     "shuffleinputrows countexpert moedispatch routing finalizemoe finalizekernel expandinputrows computeexpert "
     "*expertprefix countandsort expertoffset getexpert buildexpert expertmap epscatter epgather getdispatchlayout "
     "radixfind radixselect computeblock computedigit gatherkth kthvalue sort *radixsort *bitonicsort *mergesort "
     "*segmentedsort *sortkv *argsort *histogram *runlength *bincount unique *unique|"},
    {"reduction", "moesum moereduce"},
    {"conv",
     "*fprop *dgrad *wgrad conv| conv1 conv2 conv3 convfwd convbwd convtranspose convdepthwise *conv1d *conv2d "
     "*conv3d *convolve *convolution *depthwise *winograd *groupedconv naiveconv miopenconv miopensp3 *bwdweight "
     "*bwddata im2col im2d2col col2im vol2col igemmfwd igemmbwd igemmwrw *4cudnn *6cudnn *8cudnn *scudnn *hcudnn "
     "fft2d computeoffsets computeboffsets"},
    {"gemv", "*gemv dotkernel reduce1block *matvec"},
    {"gemm",  // with what they add up: split-K, split halves, the scaling of the result
     "*gemm *splitkreduce *xmma *matmul mm| *mmkernel addmm scaledmm *scaledmm groupedmm fusedmoe *moekernel *marlin "
     "wvsplitk llmm streamk bgmv sgmv lorashrink loraexpand exllama gptq mulmat scalkernel moemmk *reducesplitk "
     "cutlass"},
    {"softmax", "*softmax *crossentropy logsumexp"},
    {"interpolate",
     "*upsample *interpolate interp *averagepool adaptiveaverage atomicadaptive adaptivemax *avgpool *maxpool "
     "*maxunpool pooling *pooling gridsampler roialign resizebilinear resizebicubic resizenearest *bicubic *bilinear"},
    {"elementwise", "*dropout"},
    {"embedding", "*embedding computegradweight krnpartial computenumofpartial sumandscatter"},
    {"index",
     "*indexput *indexselect *indexelementwise *indexfunc indexkernel indexadd indexcopy indexfill indexing gpuindex "
     "*gather *scatter *maskedfill *maskedselect *maskedscatter *nonzero devicecompact *deviceselect "
     "*devicepartition partitionconfig searchsorted bucketize *takeput writeindices flagkernel kvindices getrows "
     "linearizeindex boundscheckindices"},
    {"activation",
     "*gelu *silu *sigmoid tanh *relu *hardswish *softplus mish glukernel glubackward *activation *swish"},
    {"copy",
     "catarray cat| *catcuda catkernel *concat copy *copy| *copykernel *transpose *permute *nchwto *cpy *nhwcto "
     "*nchw2 *nhwc2 pad| *padding *pad1d *pad2d *pad3d subtensorop cast| writezeros convertfp8 castkernel convertto "
     "fill| fillkernel fillbuffer fillfunctor arange *arange linspace triltriu triutril tril triu roll| rollcuda "
     "flip| flipkernel repeatinterleave computecudakernel pixelshuffle zerokernel zerokv writereq swapdimension "
     "shufflein padinput converttensor eyekernel tabulate uninitializedfill"},
    {"reduction",
     "reduce *reduce| *reducekernel *devicereduce *reducebykey scan scan| *scan| *scankernel *devicescan argmax "
     "argmin *argmax *argmin *cumsum cumprod sumkernel *sum| meankernel segmentreduce lpnorm *nllloss nrm2 asum "
     "iamax inputreduce amax wrappedscan wrappedreduce"},
    {"elementwise",
     "elementwise *elementwise pointwise *pointwise kernelpointwiseapply multitensorapply foreach *functor *quant "
     "*quantize *dequantize optensor op1dtensor op2dtensor op3dtensor op4dtensor op5dtensor unaryop binbcast "
     "biasnhwc biasnchw residual axpy cvt opgenerictensor scaletensor scalepackedtensor addtensor *biasadd *adam "
     "*sgd *lstmcell *grucell transformbias *transformkernel devicetransform transformimpl unarytransform "
     "binarytransform addkernel mulkernel eigenmetakernel *fusion"},
};

// Libraries whose kernels have names of their own that say nothing: `internal::gemvx::kernel`, `deep_ep::dispatch`.
constexpr Row kScopeRows[] = {
    {"communication", "nccl nvshmem deepep mscclpp *allreduce"},
    {"attention", "*flash| *fmha *attention mha| mla|"},
    {"routing", "routing sbtopk mbtopk moealign"},
    {"conv", "cnn| *winograd conv| caskcudnn"},
    {"gemv", "gemvx"},
    {"gemm", "cutlass cublas epilogue| deepgemm gemm| =kernel2"},
    {"norm", "norm| layernorm"},
    {"sampling", "sampling|"},
    {"activation", "activation|"},
};

// What a pointwise launcher applies. The rest is arithmetic: elementwise.
constexpr Row kFunctorRows[] = {
    {"norm", "*batchnorm *layernorm *groupnorm *rmsnorm"},
    {"index", "*indexput *indexcopy *indexfill *maskedfill *maskedscatter *scatter *gather"},
    {"copy",
     "*copykernel copyfunctor copy| fillfunctor fillkernel zerofunctor arange rangecuda linspace logspace eyeout"},
    {"elementwise", "*dropout"},
    {"sampling",
     "distribution bernoulli exponentialkernel uniformkernel normalkernel randomkernel randomfrom philox cauchy "
     "geometric"},
    {"reduction", "lpnorm l2norm"},
    {"activation",
     "gelu silu sigmoid logsigmoid tanhkernel tanhbackward relu| relukernel relubackward leakyrelu prelu elukernel "
     "elubackward celu selu hardswish hardsigmoid hardtanh softplus mish glukernel gluback glujvp softshrink "
     "hardshrink shrinkbackward thresholdkernel"},
};

// Launchers of ATen and Apex: their own name says only that the work is pointwise.
constexpr std::string_view kLaunchers[] = {
    "vectorizedelementwise",      "unrolledelementwise",  "elementwisekernel", "legacyelementwise",
    "vectorizedtemplatedelement", "kernelpointwiseapply", "multitensorapply",
};

bool IsLauncher(std::string_view own) {
  const Words words(own);
  return std::any_of(std::begin(kLaunchers), std::end(kLaunchers),
                     [&words](std::string_view launcher) { return words.Have(launcher); });
}

struct Pattern {
  std::string_view text;
  int category;
};
using Table = std::vector<Pattern>;

template <size_t kRows>
Table MakeTable(const Row (&rows)[kRows]) {
  Table table;
  for (const Row& row : rows) {
    for (size_t begin = 0; begin < row.patterns.size();) {
      const size_t end = std::min(row.patterns.find(' ', begin), row.patterns.size());
      table.push_back({row.patterns.substr(begin, end - begin), CategoryIndex(row.category)});
      begin = end + 1;
    }
  }
  return table;
}

int LookUp(const Table& table, std::string_view text, int otherwise) {
  const Words words(text);
  for (const Pattern& pattern : table) {
    if (words.Have(pattern.text)) {
      return pattern.category;
    }
  }
  return otherwise;
}

// --- The parts of a name.

struct Parts {
  std::string own;        // the function
  std::string scope;      // its namespaces and classes
  std::string arguments;  // its template arguments
};

// "void at::native::reduce_kernel<512, …>(…)" -> {"reduce_kernel", "at::native::", "512, …"}. Result type and
// parameters are left out; so is what a name that was cut off lacks.
Parts SplitPrototype(std::string_view name) {
  // A condition as the type of the result may have brackets that do not pair: enable_if<(8>0), void>::type.
  constexpr std::string_view kConditionEnd = ">::type ";
  if (const size_t end = name.find(kConditionEnd); StartsWith(name, "std::enable_if<") && end != name.npos) {
    name.remove_prefix(end + kConditionEnd.size());
  }
  constexpr std::string_view kNameless[] = {"(anonymous namespace)", "(anonymous)", "<unnamed>", "{anonymous}"};
  Parts parts;
  std::string open;  // brackets around the place, from the first '<' on
  bool is_after_blank = false;
  for (size_t i = 0; i < name.size(); ++i) {
    const std::string_view rest = name.substr(i);
    const auto nameless = std::find_if(std::begin(kNameless), std::end(kNameless),
                                       [rest](std::string_view text) { return StartsWith(rest, text); });
    if (nameless != std::end(kNameless)) {
      i += nameless->size() - 1;
      continue;
    }
    const char c = name[i];
    if (!open.empty()) {
      const bool is_template = c == '<' && (IsWordChar(name[i - 1]) || name[i - 1] == '_');
      if (is_template || c == '(') {
        open.push_back(c);
      } else if (c == '>' && open.back() == '<' && name[i - 1] != '-') {
        open.pop_back();
      } else if (c == ')' && open.find('(') != std::string::npos) {
        open.resize(open.rfind('('));
      }
      if (!open.empty()) {
        parts.arguments.push_back(c);
      }
    } else if (c == ' ') {
      is_after_blank = true;
    } else if (c == '(' || c == '[') {
      if (!parts.own.empty()) {
        break;  // parameters, or a note of the compiler: [clone .kd]
      }
    } else {
      if (std::exchange(is_after_blank, false)) {
        parts = {};  // what came before was the type of the result
      }
      if (c == '<') {
        open.push_back(c);
        parts.arguments.clear();
      } else if (StartsWith(rest, "::")) {
        parts.scope += std::exchange(parts.own, {}) + "::";
        ++i;
      } else {
        parts.own.push_back(c);
      }
    }
  }
  return parts;
}

// The identifiers of an Itanium-mangled name ("_ZN2at6native13reduce_kernelILi512E…"), in their order. Not demangled in
// full: substitutions make a whole demangled name up to exponentially longer than the mangled one, names that a tool
// has cut off do not demangle at all, and no category hangs on more than identifiers.
Parts SplitMangled(std::string_view name) {
  Parts parts;
  std::string last;  // the identifier read last, which is the function once its name ends
  const bool is_nested = StartsWith(name, "_ZN");
  bool is_in_arguments = false;
  int depth = 0;  // of template arguments: what 'E' closes
  size_t i = is_nested ? 3 : 2;
  const auto at = [&](size_t place) { return place < name.size() ? name[place] : '\0'; };
  const auto skip_digits = [&] {
    while (IsDigit(at(i))) {
      ++i;
    }
  };
  while (i < name.size()) {
    const char c = name[i];
    if (IsDigit(c)) {
      size_t length = 0;
      while (IsDigit(at(i))) {
        length = std::min<size_t>(length * 10 + static_cast<size_t>(at(i++) - '0'), kMaxKernelNameBytes);
      }
      const std::string_view identifier = name.substr(i, length);
      i += identifier.size();
      if (StartsWith(identifier, "_GLOBAL__N_")) {
        continue;  // nameless, but for the file that nvcc writes into it
      }
      if (is_in_arguments) {
        parts.arguments.append(identifier).append(", ");
      } else {
        parts.scope += last.empty() ? "" : std::exchange(last, {}) + "::";
        last = identifier;
        if (!is_nested && at(i) != 'I') {
          break;  // a plain function: parameters follow
        }
      }
    } else if (c == 'S' || c == 'T') {  // a substitution, a template parameter: S_, S1A_, St, T0_
      ++i;
      if (IsLower(at(i))) {
        ++i;
      } else {
        while (IsDigit(at(i)) || IsUpper(at(i))) {
          ++i;
        }
        i += at(i) == '_' ? 1 : 0;
      }
    } else if (c == 'L') {  // a literal: its type, then digits and 'E'; before an identifier: internal to its file
      ++i;
      if (IsDigit(at(i))) {
        continue;
      }
      if (IsLower(at(i))) {
        i += 1 + (at(i + 1) == 'n' ? 1 : 0);
        skip_digits();
        i += at(i) == 'E' ? 1 : 0;
      } else {
        ++depth;
      }
    } else if (c == 'E') {
      ++i;
      if (--depth <= 0) {
        if (is_in_arguments || depth < 0) {
          break;  // the end of the name: parameters follow
        }
      }
      // The value of an enumerator, the number of a lambda: no identifier begins with these.
      size_t end = i;
      while (IsDigit(at(end))) {
        ++end;
      }
      if (end > i && (at(end) == 'E' || (at(end) == '_' && at(end + 1) != 'G')) && !IsLower(at(end + 1))) {
        i = end;
      }
    } else {
      const bool opens =
          c == 'N' || c == 'I' || c == 'J' || c == 'X' || c == 'Z' || c == 'F' || (c == 'U' && (at(i + 1) == 'l'));
      if (c == 'I' && depth == 0) {
        is_in_arguments = true;
      }
      depth += opens ? 1 : 0;
      ++i;
    }
  }
  parts.own = std::move(last);
  return parts;
}

// --- Copies and sets, as profilers name them: "Memcpy HtoD (Pageable -> Device)", "[CUDA memset]".

// -1: a kernel.
int TransferCategory(std::string_view name) {
  constexpr size_t kPrefixBytes = 48;  // "[CUDA Unified Memory memcpy HtoD]" is the longest
  const Words words(name.substr(0, kPrefixBytes));
  const bool is_plain = name.find("::") == std::string_view::npos && name.find('<') == std::string_view::npos;
  return !is_plain                                           ? -1
         : words.Have("memcpy|") || words.Have("cudamemcpy") ? kCopyCategory
         : words.Have("memset|") || words.Have("cudamemset") ? kMemsetCategory
                                                             : -1;
}

// --- Kernels that inductor generates: triton_<kind>_fused_<operators>_<number>.

using CategorySet = std::bitset<kCategoryCount>;

struct FusedOperators {
  CategorySet categories;
  bool is_rms_norm = false;     // mean(x * x) and its root's reciprocal
  bool is_rotate_half = false;  // cat(-x2, x1) * sin + x * cos
};

// The name at `begin` that ATen knows, of at most six words joined by underscores; the longest. "": none.
std::string_view LongestOperator(std::string_view text, size_t begin) {
  constexpr int kMaxWords = 6;
  std::string_view longest;
  size_t end = begin;
  for (int words = 0; words < kMaxWords && end < text.size(); ++words) {
    end = std::min(text.find('_', end + 1), text.size());
    const std::string_view name = text.substr(begin, end - begin);
    longest = AtenCategory(name) == kOtherCategory ? longest : name;
  }
  return longest;
}

// The operators are ATen's, joined by the underscores that they have inside too.
FusedOperators ReadFusedOperators(std::string_view text) {
  FusedOperators fused;
  bool has_mean = false;
  bool has_rsqrt = false;
  bool has_cat = false;
  bool has_negation = false;
  bool has_product = false;
  for (size_t begin = 0; begin < text.size();) {
    const std::string_view name = LongestOperator(text, begin);
    if (name.empty()) {  // a number, or not ATen's
      begin = std::min(text.find('_', begin), text.size() - 1) + 1;
      continue;
    }
    fused.categories.set(static_cast<size_t>(AtenCategory(name)));
    has_mean |= name == "mean" || name == "var_mean" || name == "var";
    has_rsqrt |= name == "rsqrt";
    has_cat |= name == "cat" || name == "stack";
    has_negation |= name == "neg";
    has_product |= name == "mul";
    begin += name.size() + 1;
  }
  fused.is_rms_norm = has_mean && has_rsqrt;
  fused.is_rotate_half = has_cat && has_negation && has_product;
  return fused;
}

// The operator that decides what a fused kernel costs. A product, a convolution or an attention that a kernel of its
// own does is named where its bias, input or output is fused: it decides only in a template ("tem").
constexpr std::string_view kPointwiseOrder[] = {"norm",       "softmax",     "routing",   "rope",
                                                "activation", "interpolate", "embedding", "sampling",
                                                "index",      "elementwise", "reduction", "copy"};
constexpr std::string_view kReductionOrder[] = {"norm", "softmax", "routing", "reduction"};
constexpr std::string_view kTemplateOrder[] = {"attention", "conv", "gemm", "gemv"};

template <size_t kSize>
int FirstOf(const std::string_view (&order)[kSize], const CategorySet& categories, int otherwise) {
  for (const std::string_view category : order) {
    const int index = CategoryIndex(category);
    if (categories[static_cast<size_t>(index)]) {
      return index;
    }
  }
  return otherwise;
}

// -1: not a kernel of inductor.
int FusedCategory(std::string_view own) {
  constexpr std::string_view kPrefix = "triton_";
  constexpr std::string_view kFused = "_fused";
  const size_t fused = own.find(kFused);
  if (!StartsWith(own, kPrefix) || fused == std::string_view::npos) {
    return -1;
  }
  const std::string_view kind = own.substr(kPrefix.size(), fused - std::min(fused, kPrefix.size()));
  const size_t operators = std::min(own.size(), fused + kFused.size() + 1);
  FusedOperators named = ReadFusedOperators(own.substr(operators));
  if (named.is_rms_norm) {
    named.categories.set(static_cast<size_t>(CategoryIndex("norm")));
  }
  if (named.is_rotate_half) {
    named.categories.set(static_cast<size_t>(CategoryIndex("rope")));
  }
  if (kind == "tem") {
    return FirstOf(kTemplateOrder, named.categories, kGemmCategory);
  }
  if (kind == "poi" || kind == "for") {
    return FirstOf(kPointwiseOrder, named.categories, CategoryIndex("elementwise"));
  }
  // A product without any other reduction is one of a single row, written out as products and sums.
  const bool is_product = named.categories[kGemmCategory] &&
                          (named.categories & ~CategorySet().set(kGemmCategory).set(kCopyCategory)).none();
  return FirstOf(kReductionOrder, named.categories, is_product ? kGemvCategory : CategoryIndex("reduction"));
}

}  // namespace

int KernelCategory(std::string_view kernel_name) {
  static const Table& kernels = *new Table(MakeTable(kKernelRows));
  static const Table& scopes = *new Table(MakeTable(kScopeRows));
  static const Table& functors = *new Table(MakeTable(kFunctorRows));
  static const int elementwise = CategoryIndex("elementwise");
  const std::string_view name = kernel_name.substr(0, kMaxKernelNameBytes);
  if (const int transfer = TransferCategory(name); transfer >= 0) {
    return transfer;
  }
  const Parts parts = StartsWith(name, "_Z") ? SplitMangled(name) : SplitPrototype(name);
  if (const int fused = FusedCategory(parts.own); fused >= 0) {
    return fused;
  }
  const int own = LookUp(kernels, parts.own, -1);
  if (own >= 0) {
    return own == elementwise && IsLauncher(parts.own) ? LookUp(functors, parts.arguments, elementwise) : own;
  }
  if (const int of_arguments = LookUp(kernels, parts.arguments, -1); of_arguments >= 0) {
    return of_arguments;
  }
  return LookUp(scopes, parts.scope + parts.own, kOtherCategory);
}

}  // namespace dsocr::attribution
