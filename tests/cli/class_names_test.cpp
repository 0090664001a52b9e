#include "cli/common/class_names.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"

namespace hearth::cli {
namespace {

using Names = std::vector<std::string>;

Names parse(std::string_view text) { return parse_class_names(text, "names"); }

void refused(std::string_view text, const std::string& part) {
  expect_error(ErrorKind::kCorrupt, part, [&] { parse(text); });
}

TEST(ClassNames, OneALine) {
  EXPECT_EQ(parse("tench\ngoldfish, Carassius\n"), (Names{"tench", "goldfish, Carassius"}));
  EXPECT_EQ(parse("\xef\xbb\xbf tench \r\ngoldfish\r\n\r\n\n"), (Names{"tench", "goldfish"}));
  EXPECT_EQ(parse("one"), Names{"one"});
  EXPECT_EQ(parse("k\xc3\xa4"
                  "fer\n\"quoted\""),
            (Names{"k\xc3\xa4"
                   "fer",
                   "\"quoted\""}));
}

TEST(ClassNames, AListInJson) {
  EXPECT_EQ(parse(R"( ["tench", " goldfish "] )"), (Names{"tench", "goldfish"}));
  refused(R"(["tench", 2])", "names: class 1 must be a name");
  refused(R"([["a", "b"]])", "class 0");
  refused("[]", "no names");
  refused("[\"tench\"", "begins like JSON but is none");
}

TEST(ClassNames, AnObjectInJsonAsKerasHasIt) {
  EXPECT_EQ(parse(R"({"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench"]})"), (Names{"tench", "goldfish"}));
  EXPECT_EQ(parse(R"({"0": "tench", "1": "goldfish"})"), (Names{"tench", "goldfish"}));
  refused("{}", "no names");
  refused(R"({"0": "tench", "2": "goldfish"})", "among them \"2\": expected each of the numbers 0 to 1 once");
  refused(R"({"0": "tench", "00": "goldfish"})", "once");
  refused(R"({"0": "tench", "x": "goldfish"})", "\"x\"");
  refused(R"({"": "tench"})", "\"\"");
  refused(R"({"0": {"name": "tench"}})", "class 0 must be a name");
  refused(R"({"0": ["a", "b", "c"]})", "class 0 must be a name");
  refused(R"({"0": ["a", 7]})", "class 0 must be a name");
}

TEST(ClassNames, MustBeShortPlainText) {
  refused("", "names has no names");
  refused(" \n \n", "no names");
  refused("a\n\nb", "the name of class 1");
  refused("a\nb\x1b[2J", "class 1");
  refused("\xff", "class 0");
  refused(R"(["\u0000"])", "class 0");
  refused(R"([""])", "class 0");
  EXPECT_EQ(parse(std::string(kMaxClassName, 'a')).size(), 1U);
  refused(std::string(kMaxClassName + 1, 'a'), "1 to 256 bytes");
}

/// A parser that calls itself for every bracket would run out of stack.
TEST(ClassNames, DeepJsonIsRefused) { refused(std::string(1 << 20, '['), "JSON"); }

TEST(ReadClassNames, MustFitTheOutputs) {
  const TemporaryFolder folder;
  const std::string file = (folder / "names.txt").string();
  write_file_atomic(file, std::string_view("tench\ngoldfish\n"));
  EXPECT_EQ(read_class_names({.file = "", .offset = 0}, 7), Names{});
  EXPECT_EQ(read_class_names({.file = file, .offset = 0}, 2), (Names{"tench", "goldfish"}));
  EXPECT_EQ(read_class_names({.file = file, .offset = 1}, 3), (Names{"background", "tench", "goldfish"}));
  const auto mismatch = [&](int offset, std::size_t outputs, const std::string& part) {
    expect_error(ErrorKind::kMismatch, part, [&] { read_class_names({.file = file, .offset = offset}, outputs); });
  };
  mismatch(0, 3, "names.txt names 2 classes and --class-offset is 0, but the model has 3 outputs: if the first");
  mismatch(0, 1, "give the file that belongs to the model");
  mismatch(1, 2, "--class-offset is 1");
  mismatch(0, 10, "10 outputs");
  expect_error(ErrorKind::kIo, "none.txt",
               [&] { read_class_names({.file = (folder / "none.txt").string(), .offset = 0}, 2); });
}

}  // namespace
}  // namespace hearth::cli
