#include "daemon/attach/json_reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fmt/format.h"

namespace dsocr::attach {
namespace {

enum ByteClass : uint8_t { kOther, kSpace, kScalarByte };

constexpr std::array<ByteClass, 256> kByteClasses = [] {
  std::array<ByteClass, 256> classes{};
  for (const unsigned char byte : std::string_view(" \n\r\t")) {
    classes[byte] = kSpace;
  }
  for (const unsigned char byte :
       std::string_view("0123456789+-.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    classes[byte] = kScalarByte;
  }
  return classes;
}();

ByteClass ClassOf(char byte) { return kByteClasses[static_cast<unsigned char>(byte)]; }
bool IsScalar(char byte) { return ClassOf(byte) == kScalarByte; }

// The first byte from `first` on that is of another class.
const char* EndOf(ByteClass bytes, const char* first, const char* end) {
  while (first < end && ClassOf(*first) == bytes) {
    ++first;
  }
  return first;
}

int HexDigit(char byte) {
  return byte >= '0' && byte <= '9'   ? byte - '0'
         : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
         : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                      : -1;
}

// The four digits of \uXXXX; -1: they are not there.
int HexUnit(std::string_view digits) {
  if (digits.size() < 4) {
    return -1;
  }
  int unit = 0;
  for (const char digit : digits.substr(0, 4)) {
    const int value = HexDigit(digit);
    if (value < 0) {
      return -1;
    }
    unit = unit * 16 + value;
  }
  return unit;
}

void AppendUtf8(uint32_t code, std::string* text) {
  if (code < 0x80) {
    text->push_back(static_cast<char>(code));
    return;
  }
  if (code < 0x800) {
    text->push_back(static_cast<char>(0xc0 | code >> 6));
  } else {
    if (code < 0x10000) {
      text->push_back(static_cast<char>(0xe0 | code >> 12));
    } else {
      text->push_back(static_cast<char>(0xf0 | code >> 18));
      text->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3f)));
    }
    text->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
  }
  text->push_back(static_cast<char>(0x80 | (code & 0x3f)));
}

// `raw` from the digits of a \u on; what it used of them.
size_t AppendUnicode(std::string_view raw, std::string* text) {
  const int unit = HexUnit(raw);
  if (unit < 0) {
    text->push_back('?');
    return 0;
  }
  if (unit < 0xd800 || unit > 0xdfff) {
    AppendUtf8(static_cast<uint32_t>(unit), text);
    return 4;
  }
  const int low = raw.substr(4, 2) == "\\u" ? HexUnit(raw.substr(6)) : -1;
  if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) {
    text->push_back('?');
    return 4;
  }
  AppendUtf8(0x10000 + (static_cast<uint32_t>(unit - 0xd800) << 10) + static_cast<uint32_t>(low - 0xdc00), text);
  return 10;
}

void Unescape(std::string_view raw, std::string* text) {
  text->clear();
  for (size_t at = 0; at < raw.size();) {
    const size_t escape = std::min(raw.find('\\', at), raw.size());
    text->append(raw.substr(at, escape - at));
    at = escape + 2;
    if (escape + 1 >= raw.size()) {
      break;
    }
    switch (const char which = raw[escape + 1]) {
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        text->push_back(' ');  // in a name each of them would only break a line
        break;
      case 'u':
        at += AppendUnicode(raw.substr(at), text);
        break;
      default:
        text->push_back(which);
    }
  }
}

}  // namespace

JsonReader::JsonReader(std::FILE* file) : file_(file), buffer_(new char[kBufferBytes]) {}

bool JsonReader::Refill() {
  if (at_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + at_, end_ - at_);
    consumed_ += static_cast<int64_t>(at_);
    end_ -= at_;
    at_ = 0;
  }
  const size_t more = std::fread(buffer_.get() + end_, 1, kBufferBytes - end_, file_);
  end_ += more;
  return more > 0;
}

char JsonReader::PeekToken() {
  if (!status_.ok()) {
    return 0;
  }
  do {
    at_ = static_cast<size_t>(EndOf(kSpace, buffer_.get() + at_, buffer_.get() + end_) - buffer_.get());
    if (at_ < end_) {
      return buffer_[at_];
    }
  } while (Refill());
  return 0;
}

void JsonReader::Fail(std::string_view expected) {
  if (status_.ok()) {
    status_ = absl::DataLossError(fmt::format("byte {}: {} was expected{}", offset(), expected,
                                              at_ == end_ && std::feof(file_) ? "; the file ends here" : ""));
  }
}

bool JsonReader::Expect(char byte) {
  if (PeekToken() != byte) {
    Fail(std::string_view(&byte, 1));
    return false;
  }
  ++at_;
  return true;
}

JsonReader::Type JsonReader::Peek() {
  switch (const char byte = PeekToken()) {
    case '{':
      return Type::kObject;
    case '[':
      return Type::kArray;
    case '"':
      return Type::kString;
    default:
      return IsScalar(byte) ? Type::kScalar : Type::kNone;
  }
}

bool JsonReader::BeginObject() {
  if (depth_ == kMaxDepth) {
    Fail("a value less deep");
  }
  if (!Expect('{')) {
    return false;
  }
  ++depth_;
  is_first_ = true;
  return true;
}

bool JsonReader::BeginArray() {
  if (depth_ == kMaxDepth) {
    Fail("a value less deep");
  }
  if (!Expect('[')) {
    return false;
  }
  ++depth_;
  is_first_ = true;
  return true;
}

// Consumes the comma before an item, or the end.
bool JsonReader::NextItem(char end) {
  const char byte = PeekToken();
  if (byte == end) {
    ++at_;
    --depth_;
    is_first_ = false;
    return false;
  }
  if (!is_first_ && !Expect(',')) {
    return false;
  }
  is_first_ = false;
  return status_.ok();
}

std::optional<std::string_view> JsonReader::NextKey() {
  if (!NextItem('}')) {
    return std::nullopt;
  }
  const std::optional<std::string_view> key = RawString();
  if (!key.has_value()) {
    return std::nullopt;
  }
  if (at_ < end_ && buffer_[at_] == ':') {
    ++at_;
    return key;
  }
  key_.assign(*key);  // looking for the colon may move the buffer
  if (!Expect(':')) {
    return std::nullopt;
  }
  return key_;
}

bool JsonReader::NextElement() { return NextItem(']'); }

std::optional<std::string_view> JsonReader::RawString() {
  if (PeekToken() != '"') {
    Fail("a string");
    return std::nullopt;
  }
  size_t length = 0;  // of what was looked at, behind the quote
  for (;;) {
    const char* const first = buffer_.get() + at_ + 1;
    const char* const end = buffer_.get() + end_;
    for (const char* byte = first + length; byte < end; ++byte) {
      if (*byte == '"' && byte - first <= static_cast<ptrdiff_t>(kMaxStringBytes)) {
        at_ = static_cast<size_t>(byte + 1 - buffer_.get());
        return std::string_view(first, static_cast<size_t>(byte - first));
      }
      byte += *byte == '\\' ? 1 : 0;
      length = static_cast<size_t>(byte + 1 - first);
    }
    if (length > kMaxStringBytes) {
      Fail(fmt::format("a string of at most {} bytes", kMaxStringBytes));
      return std::nullopt;
    }
    if (!Refill()) {
      at_ = end_;
      Fail("the end of a string");
      return std::nullopt;
    }
  }
}

bool JsonReader::ReadString(std::string* value) {
  const std::optional<std::string_view> raw = RawString();
  if (!raw.has_value()) {
    return false;
  }
  if (raw->find('\\') == std::string_view::npos) {
    value->assign(*raw);
  } else {
    Unescape(*raw, value);
  }
  return true;
}

bool JsonReader::ReadScalar(std::string* value) {
  value->clear();
  if (!IsScalar(PeekToken())) {
    Fail("a number");
    return false;
  }
  for (;;) {
    const size_t start = at_;
    StepOverScalar();
    value->append(buffer_.get() + start, at_ - start);
    if (value->size() > kMaxStringBytes) {
      Fail("a shorter number");
      return false;
    }
    if (at_ < end_ || !Refill()) {
      return true;
    }
  }
}

// As far as the buffer has it.
void JsonReader::StepOverScalar() {
  at_ = static_cast<size_t>(EndOf(kScalarByte, buffer_.get() + at_, buffer_.get() + end_) - buffer_.get());
}

void JsonReader::SkipString() {
  ++at_;
  bool is_escaped = false;
  do {
    const char* const end = buffer_.get() + end_;
    for (const char* byte = buffer_.get() + at_; byte < end; ++byte) {
      if (*byte == '"' && !is_escaped) {
        at_ = static_cast<size_t>(byte + 1 - buffer_.get());
        return;
      }
      is_escaped = *byte == '\\' && !is_escaped;
    }
    at_ = end_;
  } while (Refill());
  Fail("the end of a string");
}

// Brackets must match; what stands between them is not looked at.
void JsonReader::Skip() {
  uint64_t is_array = 0;  // a bit for each value that is open, the innermost lowest
  int open = 0;
  do {
    switch (const char byte = PeekToken()) {
      case '"':
        SkipString();
        break;
      case '{':
      case '[':
        if (depth_ + open == kMaxDepth) {
          Fail("a value less deep");
          return;
        }
        ++at_;
        ++open;
        is_array = is_array << 1 | (byte == '[' ? 1 : 0);
        break;
      case '}':
      case ']':
        if (open == 0 || (is_array & 1) != (byte == ']' ? 1u : 0u)) {
          Fail(open == 0 ? "a value" : (is_array & 1) != 0 ? "]" : "}");
          return;
        }
        ++at_;
        --open;
        is_array >>= 1;
        break;
      case ',':
      case ':':
        if (open == 0) {
          Fail("a value");
          return;
        }
        ++at_;
        break;
      default:
        if (!IsScalar(byte)) {
          Fail("a value");
          return;
        }
        do {
          StepOverScalar();
        } while (at_ == end_ && Refill());
    }
  } while (open > 0 && status_.ok());
}

}  // namespace dsocr::attach
