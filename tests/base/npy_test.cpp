#include "base/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>

#include "base/error.h"

namespace hearth {
namespace {

std::vector<std::byte> to_bytes(const std::string& text) {
  std::vector<std::byte> out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

/// A file made by hand: version, header text and data as given.
std::vector<std::byte> npy_file(const std::string& header, const std::string& data, char version = 1) {
  std::string file = "\x93NUMPY";
  file += {version, '\0'};
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8);
  if (version > 1) file += std::string(2, '\0');
  return to_bytes(file + header + data);
}

template <typename T>
std::string raw(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(std::data(values)), values.size() * sizeof(T));
}

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kInternal;
}

TEST(Npy, FloatsComeBackAsWritten) {
  const std::vector<std::int64_t> shape = {2, 3};
  const std::vector<float> values = {1, -2.5F, 3e30F, 0, 1e-30F, 7};
  const std::vector<std::byte> bytes = format_npy(shape, values);
  EXPECT_EQ(bytes.size() % 64, values.size() * sizeof(float));
  EXPECT_EQ(parse_npy(bytes), (NpyArray{shape, values}));
}

TEST(Npy, FilesComeBackAsWritten) {
  const auto path = std::filesystem::temp_directory_path() / "hearth_npy_test.npy";
  const std::vector<std::int64_t> shape = {3};
  const std::vector<std::int32_t> values = {5, -6, 1 << 20};
  write_npy(path, shape, values);
  EXPECT_EQ(read_npy(path), (NpyArray{shape, {5, -6, 1 << 20}}));
  std::filesystem::remove(path);
  EXPECT_EQ(kind_of([&] { read_npy(path); }), ErrorKind::kIo);
}

TEST(Npy, ScalarsAndEmptyArrays) {
  EXPECT_EQ(parse_npy(format_npy({}, std::vector<float>{4})), (NpyArray{{}, {4}}));
  const std::vector<std::int64_t> shape = {2, 0, 5};
  EXPECT_EQ(parse_npy(format_npy(shape, std::vector<float>{})), (NpyArray{shape, {}}));
}

TEST(Npy, EveryElementTypeAndVersionIsConverted) {
  const auto header = [](const std::string& descr) {
    return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,), }   \n";
  };
  const std::vector<float> expected = {3, 200};
  for (const char version : {'\1', '\2', '\3'}) {
    EXPECT_EQ(parse_npy(npy_file(header("<f4"), raw<float>({3, 200}), version)).values, expected);
    EXPECT_EQ(parse_npy(npy_file(header("<f8"), raw<double>({3, 200}), version)).values, expected);
    EXPECT_EQ(parse_npy(npy_file(header("<i4"), raw<std::int32_t>({3, 200}), version)).values, expected);
    EXPECT_EQ(parse_npy(npy_file(header("<i8"), raw<std::int64_t>({3, 200}), version)).values, expected);
    EXPECT_EQ(parse_npy(npy_file(header("|u1"), raw<std::uint8_t>({3, 200}), version)).values, expected);
  }
}

TEST(Npy, KeysMayComeInAnyOrder) {
  const std::string header = "{\"shape\":(1,2),\"fortran_order\":False,\"descr\":\"<f4\"}\n";
  EXPECT_EQ(parse_npy(npy_file(header, raw<float>({1, 2}))), (NpyArray{{1, 2}, {1, 2}}));
}

TEST(Npy, OtherLayoutsAreUnsupported) {
  const std::string tail = "'shape': (2,), }\n";
  const std::string data = raw<float>({1, 2});
  EXPECT_EQ(kind_of([&] { parse_npy(npy_file("{'descr': '<f4', 'fortran_order': True, " + tail, data)); }),
            ErrorKind::kUnsupported);
  EXPECT_EQ(kind_of([&] { parse_npy(npy_file("{'descr': '>f4', 'fortran_order': False, " + tail, data)); }),
            ErrorKind::kUnsupported);
  EXPECT_EQ(kind_of([&] { parse_npy(npy_file("{'descr': '<f4', 'fortran_order': False, " + tail, data, '\4')); }),
            ErrorKind::kUnsupported);
}

TEST(Npy, ImpossibleHeadersAreCorrupt) {
  const std::string data = raw<float>({1, 2});
  for (const char* header : {"", "{}", "{'descr': '<f4', 'fortran_order': False}", "{'descr': '<f4",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
                             "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
                             "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"}) {
    EXPECT_EQ(kind_of([&] { parse_npy(npy_file(header, data)); }), ErrorKind::kCorrupt) << header;
  }
}

TEST(Npy, HugeShapesAreRefusedBeforeAllocating) {
  const auto parse = [](const std::string& shape, std::int64_t limit) {
    parse_npy(npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n", ""), limit);
  };
  EXPECT_EQ(kind_of([&] { parse("(4294967296, 4294967296)", kMaxNpyElements); }), ErrorKind::kResource);
  EXPECT_EQ(kind_of([&] { parse("(9223372036854775807, 2)", kMaxNpyElements); }), ErrorKind::kResource);
  EXPECT_EQ(kind_of([&] { parse("(11,)", 10); }), ErrorKind::kResource);
  EXPECT_EQ(kind_of([&] { parse("(10,)", 10); }), ErrorKind::kCorrupt);
}

TEST(Npy, WritingChecksTheShape) {
  const std::vector<std::int64_t> shape = {2, 2};
  EXPECT_EQ(kind_of([&] { format_npy(shape, std::vector<float>(3)); }), ErrorKind::kInvalidArgument);
}

TEST(Npy, EveryTruncationIsAnError) {
  const std::vector<std::int64_t> shape = {4, 4};
  const std::vector<std::byte> bytes = format_npy(shape, std::vector<float>(16, 1.0F));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(kind_of([&] { parse_npy(std::span(bytes).first(length)); }), ErrorKind::kCorrupt) << length;
  }
}

TEST(Npy, DamagedFilesNeverCrash) {
  const std::vector<std::int64_t> shape = {4, 4};
  const std::vector<std::byte> bytes = format_npy(shape, std::vector<float>(16, 1.0F));
  std::mt19937 generator(1);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> damaged = bytes;
    for (unsigned k = 0; k <= generator() % 3; ++k) damaged[generator() % 128] ^= std::byte(1U << generator() % 8);
    try {
      parse_npy(damaged);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace hearth
