#include "base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace hearth {
namespace {

using namespace std::string_view_literals;

TEST(PlainText, AcceptsWhatCanBeShown) {
  for (const std::string_view text :
       {""sv, "tench"sv, " ~"sv, "Bräunlicher Käfer"sv, "\xc2\xa0"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv,
        "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv, "犬🐕"sv}) {
    EXPECT_TRUE(is_plain_text(text)) << text;
  }
}

TEST(PlainText, RefusesMalformedUtf8) {
  for (const std::string_view text :
       {"\x80"sv, "\xbf"sv, "a\xc3"sv, "\xc3("sv, "\xc0\xaf"sv, "\xc1\xbf"sv, "\xe0\x9f\xbf"sv, "\xe2\x82"sv,
        "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv, "\xf8\x88\x80\x80\x80"sv,
        "\xfe"sv, "\xff"sv, "\xf0\x9f\x90"sv}) {
    EXPECT_FALSE(is_plain_text(text)) << text;
  }
}

TEST(PlainText, RefusesWhatTerminalsObey) {
  for (int c = 0; c < 0x20; ++c) EXPECT_FALSE(is_plain_text(std::string(1, static_cast<char>(c)))) << c;
  for (const std::string_view text : {"\x7f"sv, "\xc2\x80"sv,
                                      "\xc2\x9b"
                                      "31m"sv,
                                      "\u202e"sv, "\u2028"sv, "\u2066"sv, "\u200f"sv, "a\nb"sv, "a\0b"sv}) {
    EXPECT_FALSE(is_plain_text(text)) << text;
  }
}

}  // namespace
}  // namespace hearth
