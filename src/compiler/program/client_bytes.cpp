#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/error.h"
#include "base/text.h"
#include "compiler/program/program_bytes.h"

namespace hearth::compiler {
namespace {

constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kMaxPredicted = std::size_t{1} << 20;  // instructions
constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;

void write_shape(ByteWriter& out, const std::vector<std::int64_t>& shape) {
  out.u32(static_cast<std::uint32_t>(shape.size()));
  out.span(shape);
}

std::vector<std::int64_t> read_shape(ByteReader& in) {
  std::vector<std::int64_t> shape = in.read_vector<std::int64_t>(in.read_count(kMaxRank, "dimensions", 8));
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) {
    require(extent >= 1 && extent <= kMaxElements / elements, ErrorKind::kCorrupt,
            "{} has a tensor with an extent of {}; extents are positive and their product is at most {}", in.what(),
            extent, kMaxElements);
    elements *= extent;
  }
  return shape;
}

void write_normalisation(ByteWriter& out, const Normalisation& value) {
  out.f64(value.divisor);
  for (const auto* list : {&value.mean, &value.deviation}) {
    out.u32(static_cast<std::uint32_t>(list->size()));
    out.span(*list);
  }
}

Normalisation read_normalisation(ByteReader& in, const std::vector<std::int64_t>& shape) {
  Normalisation out;
  const auto channels = static_cast<std::size_t>(shape.size() > 1 ? shape[1] : 1);
  out.divisor = in.finite();
  for (auto* list : {&out.mean, &out.deviation}) {
    const std::size_t count = in.read_count(channels, "channels of a normalisation", sizeof(double));
    require(count <= 1 || count == channels, ErrorKind::kCorrupt, "{} normalises {} channels, the input has {}",
            in.what(), count, channels);
    for (std::size_t i = 0; i < count; ++i) list->push_back(in.finite());
  }
  const auto is_zero = [](double value) { return value == 0; };
  require(out.divisor != 0 && std::none_of(out.deviation.begin(), out.deviation.end(), is_zero), ErrorKind::kCorrupt,
          "{} normalises inputs by dividing by zero", in.what());
  return out;
}

void write_layout(ByteWriter& out, const Layout& layout) {
  out.i32(layout.ciphertexts);
  out.i32(layout.period);
  out.u32(static_cast<std::uint32_t>(layout.places.size()));
  for (const Place& place : layout.places) {
    out.i32(place.ciphertext);
    out.i32(place.slot);
  }
}

Layout read_layout(ByteReader& in, const std::vector<std::int64_t>& shape, int slots) {
  Layout layout;
  layout.ciphertexts = in.i32_in(1, kMaxTensorCiphertexts, "ciphertexts of a layout");
  layout.period = in.i32_in(1, slots, "period");
  require(std::has_single_bit(static_cast<unsigned>(layout.period)), ErrorKind::kCorrupt,
          "{} has a layout of period {}, not a power of two", in.what(), layout.period);
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  const std::size_t count = in.read_count(kMaxElements, "places of a layout", 8);
  require(count == static_cast<std::uint64_t>(elements), ErrorKind::kCorrupt,
          "{} has a layout of {} places for a tensor of {} elements", in.what(), count, elements);
  layout.places.resize(count);
  for (Place& place : layout.places) {
    place.ciphertext = in.i32_in(-1, layout.ciphertexts - 1, "ciphertext of a place");
    place.slot = in.i32_in(0, layout.period - 1, "slot of a place");
  }
  return layout;
}

void write_classes(ByteWriter& out, const std::vector<std::string>& names) {
  out.u32(static_cast<std::uint32_t>(names.size()));
  for (const std::string& name : names) out.string(name);
}

std::vector<std::string> read_classes(ByteReader& in, std::size_t outputs) {
  const std::size_t count = in.read_count(kMaxElements, "names of classes", 4);
  require(count == 0 || count == outputs, ErrorKind::kCorrupt, "{} names {} classes for {} outputs", in.what(), count,
          outputs);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back(in.string(kMaxClassName));
    require(is_plain_text(names.back()), ErrorKind::kCorrupt,
            "{} has a name of class {} that is no plain text: UTF-8 without control characters is expected", in.what(),
            i);
  }
  return names;
}

double read_positive(ByteReader& in, const char* name) {
  const double value = in.finite();
  require(value > 0, ErrorKind::kCorrupt, "{} has {} {}, expected a positive number", in.what(), name, value);
  return value;
}

double read_bound(ByteReader& in, const char* name) {
  const double value = in.finite();
  require(value >= 0, ErrorKind::kCorrupt, "{} has {} {}, expected no negative number", in.what(), name, value);
  return value;
}

}  // namespace

void write_prediction(ByteWriter& out, const Prediction& value) {
  out.i32(value.log_n);
  out.i32(value.levels);
  out.i32(value.rotation_keys);
  out.i32(value.threads);
  for (const double number :
       {value.security_bits, value.log_qp, value.log_qp_limit, value.key_bytes_file, value.key_bytes_memory,
        value.input_bytes, value.output_bytes, value.plaintext_bytes, value.seconds, value.peak_bytes,
        value.moved_bytes, value.output_error, value.output_rms}) {
    out.f64(number);
  }
  out.u32(static_cast<std::uint32_t>(value.instruction_seconds.size()));
  for (const double seconds : value.instruction_seconds) out.f64(seconds);
}

Prediction read_prediction(ByteReader& in) {
  Prediction out;
  out.log_n = in.i32_in(0, 30, "predicted log2 of the ring degree");
  out.levels = in.i32_in(0, 1 << 10, "predicted number of levels");
  out.rotation_keys = in.i32_in(0, 1 << 30, "predicted number of rotation keys");
  out.threads = in.i32_in(0, 1 << 16, "predicted number of threads");
  for (double* number : {&out.security_bits, &out.log_qp, &out.log_qp_limit, &out.key_bytes_file, &out.key_bytes_memory,
                         &out.input_bytes, &out.output_bytes, &out.plaintext_bytes, &out.seconds, &out.peak_bytes,
                         &out.moved_bytes, &out.output_error, &out.output_rms}) {
    *number = in.finite();
  }
  const std::size_t count = in.read_count(kMaxPredicted, "predicted times", sizeof(double));
  for (std::size_t i = 0; i < count; ++i) out.instruction_seconds.push_back(in.finite());
  return out;
}

void write_client(ByteWriter& out, const ClientBundle& value) {
  out.string(value.model);
  write_keys(out, value.keys);
  write_shape(out, value.input_shape);
  write_normalisation(out, value.normalisation);
  out.i32(value.image_resize);
  write_layout(out, value.input_layout);
  out.i32(value.input_level);
  out.f64(value.input_scale);
  out.f64(value.input_bound);
  write_shape(out, value.output_shape);
  write_layout(out, value.output_layout);
  out.i32(value.output_level);
  out.f64(value.output_scale);
  out.f64(value.output_bound);
  write_classes(out, value.classes);
}

void read_client(ByteReader& in, const ckks::Parameters& parameters, ClientBundle& value) {
  const int slots = static_cast<int>(parameters.slots());
  value.model = in.string();
  value.keys = read_keys(in, parameters);
  value.input_shape = read_shape(in);
  value.normalisation = read_normalisation(in, value.input_shape);
  value.image_resize = in.i32_in(0, kMaxImageResize, "size of images");
  value.input_layout = read_layout(in, value.input_shape, slots);
  // A client makes as many slot vectors, whatever the bundle's size.
  require(static_cast<std::size_t>(value.input_layout.ciphertexts) <= value.input_layout.places.size(),
          ErrorKind::kCorrupt, "{} spreads an input of {} elements over {} ciphertexts", in.what(),
          value.input_layout.places.size(), value.input_layout.ciphertexts);
  value.input_level = in.i32_in(0, parameters.max_level(), "input level");
  value.input_scale = read_positive(in, "input scale");
  value.input_bound = read_bound(in, "input bound");
  value.output_shape = read_shape(in);
  value.output_layout = read_layout(in, value.output_shape, slots);
  value.output_level = in.i32_in(0, parameters.max_level(), "output level");
  value.output_scale = read_positive(in, "output scale");
  value.output_bound = read_bound(in, "output bound");
  value.classes = read_classes(in, value.output_layout.places.size());
  in.expect_end();
}

}  // namespace hearth::compiler
