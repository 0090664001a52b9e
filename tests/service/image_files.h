#pragma once

// jpeglib.h uses what <cstdio> declares.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on
#include <png.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "service/image/image.h"

/// Files of images, written by libpng and libjpeg as other programs write them.
namespace hearth::testing {

using FileBytes = std::vector<std::byte>;

/// How PNG samples are laid out; `samples` below are bytes of rows as the file has them (16 bits: high byte first).
struct PngForm {
  int width = 0, height = 0;
  int colour_type = PNG_COLOR_TYPE_RGB, bits = 8;
  bool interlaced = false;
  std::vector<png_color> palette = {};
  std::vector<png_byte> palette_alpha = {};
};

inline FileBytes png_file(const PngForm& form, std::vector<std::uint8_t> samples) {
  FileBytes out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp p, png_bytep data, std::size_t count) {
    auto& bytes = *static_cast<FileBytes*>(png_get_io_ptr(p));
    const auto* from = reinterpret_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), from, from + count);
  };
  png_set_write_fn(png, &out, append, [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(form.width), static_cast<png_uint_32>(form.height), form.bits,
               form.colour_type, form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE,
               PNG_FILTER_TYPE_BASE);
  if (!form.palette.empty()) png_set_PLTE(png, info, form.palette.data(), static_cast<int>(form.palette.size()));
  if (!form.palette_alpha.empty()) {
    png_set_tRNS(png, info, form.palette_alpha.data(), static_cast<int>(form.palette_alpha.size()), nullptr);
  }
  png_write_info(png, info);
  const std::size_t row = png_get_rowbytes(png, info);
  samples.resize(row * static_cast<std::size_t>(form.height));
  std::vector<png_bytep> rows;
  for (int y = 0; y < form.height; ++y) rows.push_back(samples.data() + static_cast<std::size_t>(y) * row);
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

/// 8 bits a sample, grey or RGB.
inline FileBytes png_file(const service::Image& image) {
  const int type = image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
  return png_file({.width = image.width, .height = image.height, .colour_type = type}, image.samples);
}

struct JpegForm {
  J_COLOR_SPACE colours = JCS_RGB;  ///< of the samples
  int components = 3;
  bool progressive = false;
  std::vector<jpeg_scan_info> scans = {};  ///< none: the usual ones
  std::vector<std::uint8_t> exif = {};     ///< content of an APP1 segment
  int quality = 100;
};

inline FileBytes jpeg_file(int width, int height, std::vector<std::uint8_t> samples, const JpegForm& form = {}) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = form.components;
  jpeg.in_color_space = form.colours;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, form.quality, TRUE);
  for (int c = 0; c < jpeg.num_components; ++c) jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
  if (form.progressive) jpeg_simple_progression(&jpeg);
  if (!form.scans.empty()) {
    jpeg.scan_info = form.scans.data();
    jpeg.num_scans = static_cast<int>(form.scans.size());
  }
  jpeg_start_compress(&jpeg, TRUE);
  if (!form.exif.empty()) {
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, form.exif.data(), static_cast<unsigned>(form.exif.size()));
  }
  const auto row = static_cast<std::size_t>(width) * static_cast<std::size_t>(form.components);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW at = samples.data() + jpeg.next_scanline * row;
    jpeg_write_scanlines(&jpeg, &at, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const auto* from = reinterpret_cast<const std::byte*>(memory);
  FileBytes out(from, from + size);
  std::free(memory);  // NOLINT: libjpeg's malloc
  return out;
}

/// A ramp in every channel, different in each, and some noise: neither symmetric nor smooth.
inline service::Image ramp_image(int width, int height, int channels = 3) {
  service::Image image{.width = width, .height = height, .channels = channels, .samples = {}};
  std::mt19937 random(1);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int ramps[] = {200 * x / width, 200 * y / height, 100 * (x + y) / (width + height)};
      for (int c = 0; c < channels; ++c) {
        image.samples.push_back(static_cast<std::uint8_t>(ramps[c] + static_cast<int>(random() % 40)));
      }
    }
  }
  return image;
}

}  // namespace hearth::testing
