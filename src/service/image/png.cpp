#include <png.h>

#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "service/image/codecs.h"

namespace hearth::service {
namespace {

/// One file being read by libpng, which reports errors by longjmp and so skips destructors. Therefore libpng is called
/// only from steps: functions without objects that need destruction, run by guarded(). Whatever allocates or throws
/// happens between steps.
class PngSession {
 public:
  PngSession(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
    if (!info_) png_destroy_read_struct(&png_, nullptr, nullptr);
    require(info_ != nullptr, ErrorKind::kResource, "no memory to decode {}", name);
  }
  ~PngSession() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngSession(const PngSession&) = delete;
  PngSession& operator=(const PngSession&) = delete;

  Image decode(std::int64_t max_pixels) {
    run(read_header);
    Image image = blank_image(png_get_image_width(png_, info_), png_get_image_height(png_, info_), name_, max_pixels);
    run(choose_rgb);
    const std::size_t row = static_cast<std::size_t>(image.width) * 3;
    require(png_get_rowbytes(png_, info_) == row, ErrorKind::kInternal, "libpng makes rows of {} bytes, not {}",
            png_get_rowbytes(png_, info_), row);
    std::vector<png_bytep> rows;
    rows.reserve(static_cast<std::size_t>(image.height));
    for (int y = 0; y < image.height; ++y) rows.push_back(image.samples.data() + static_cast<std::size_t>(y) * row);
    rows_ = rows.data();
    run(read_pixels);
    return image;
  }

 private:
  using Step = void (*)(PngSession&);

  void run(Step step) {
    if (guarded(step)) return;
    fail(ErrorKind::kCorrupt, "{} is no PNG image that can be decoded: {}", name_, message_);
  }

  /// False if libpng met an error, which message_ then describes.
  bool guarded(Step step) {
    if (setjmp(png_jmpbuf(png_))) return false;
    step(*this);
    return true;
  }

  static void read_header(PngSession& s) {
    png_set_read_fn(s.png_, &s, on_read);
    // blank_image() checks sizes and has the better message.
    png_set_user_limits(s.png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    // Texts, profiles and the like can be compressed, and are of no use here.
    png_set_keep_unknown_chunks(s.png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(s.png_, s.info_);
  }

  static void choose_rgb(PngSession& s) {
    png_set_palette_to_rgb(s.png_);
    png_set_expand_gray_1_2_4_to_8(s.png_);
    png_set_strip_16(s.png_);
    png_set_strip_alpha(s.png_);
    png_set_gray_to_rgb(s.png_);
    png_set_interlace_handling(s.png_);
    png_read_update_info(s.png_, s.info_);
  }

  static void read_pixels(PngSession& s) {
    png_read_image(s.png_, s.rows_);
    png_read_end(s.png_, nullptr);  // a file without its end is cut short
  }

  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto& s = *static_cast<PngSession*>(png_get_io_ptr(png));
    if (count > s.bytes_.size()) png_error(png, "the file is cut short");
    std::memcpy(out, s.bytes_.data(), count);
    s.bytes_ = s.bytes_.subspan(count);
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto& s = *static_cast<PngSession*>(png_get_error_ptr(png));
    std::snprintf(s.message_, sizeof(s.message_), "%s", message);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::span<const std::byte> bytes_;  // those not read yet
  const std::string& name_;
  png_bytepp rows_ = nullptr;
  char message_[200] = "";
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name, std::int64_t max_pixels) {
  return PngSession(bytes, name).decode(max_pixels);
}

}  // namespace hearth::service
