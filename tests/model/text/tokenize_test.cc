#include "model/text/tokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "model/error.h"
#include "tests/model/text/toy_tokenizer.h"
#include "tests/scratch_directory.h"

namespace dsocr::model {
namespace {

TEST(RunTokenize, AnswersEachLineInOrder) {
  const ScratchDirectory directory;
  directory.Write("tokenizer.json", ToyTokenizerJson().dump());
  std::istringstream in("{\"text\": \"abc<s>\"}\n\n{\"text\": \"\"}\n{\"text\": \"\\u00e9\", \"more\": 1}");
  std::ostringstream out;

  EXPECT_EQ(RunTokenize(directory.path(), in, out), 0);

  EXPECT_EQ(out.str(),
            "{\"ids\":[257,300],\"decoded\":\"abc<s>\"}\n"
            "{\"ids\":[],\"decoded\":\"\"}\n"
            "{\"ids\":[195,169],\"decoded\":\"é\"}\n");
}

TEST(RunTokenize, NamesTheLineThatIsWrong) {
  const ScratchDirectory directory;
  directory.Write("tokenizer.json", ToyTokenizerJson().dump());
  for (const char* line :
       {"abc", "{}", "{\"text\": 3}", "[\"text\"]", "{\"text\": \"\\ud800\"}", "{\"text\": \"\xff\"}"}) {
    std::istringstream in(std::string("{\"text\": \"a\"}\n") + line);
    std::ostringstream out;
    try {
      RunTokenize(directory.path(), in, out);
      ADD_FAILURE() << line;
    } catch (const InputError& error) {
      EXPECT_EQ(error.what_failed(), "line 2");
    }
    EXPECT_EQ(out.str(), "{\"ids\":[97],\"decoded\":\"a\"}\n");
  }
}

}  // namespace
}  // namespace dsocr::model
