// jpeglib.h uses what <cstdio> declares, and jerror.h what jpeglib.h does.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on
#include <setjmp.h>

#include <cstring>

#include "base/error.h"
#include "service/image/codecs.h"
#include "service/image/orientation.h"

namespace hearth::service {
namespace {

/// Each scan of a progressive image goes through all of it, so a small file of many could take hours; encoders make
/// about ten.
constexpr int kMaxScans = 64;
/// Of libjpeg: coefficients of the largest progressive image, and some more.
constexpr long kMaxMemory = 1L << 30;

/// One file being read by libjpeg, whose errors end in longjmp here, which skips destructors. Therefore libjpeg is
/// called only from steps: functions without objects that need destruction, run by guarded(). Whatever allocates or
/// throws happens between steps.
class JpegSession {
 public:
  JpegSession(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}
  ~JpegSession() { jpeg_destroy_decompress(&jpeg_); }
  JpegSession(const JpegSession&) = delete;
  JpegSession& operator=(const JpegSession&) = delete;

  Image decode(std::int64_t max_pixels) {
    run(read_header);
    const J_COLOR_SPACE colours = jpeg_.jpeg_color_space;
    require(colours == JCS_GRAYSCALE || colours == JCS_RGB || colours == JCS_YCbCr, ErrorKind::kUnsupported,
            "{} is a JPEG image of {}; only grey-scale and RGB are supported: convert it", name_,
            colours == JCS_CMYK || colours == JCS_YCCK ? "CMYK colours, meant for printing" : "unknown colours");
    Image image = blank_image(jpeg_.image_width, jpeg_.image_height, name_, max_pixels);
    const int turn = orientation();  // libjpeg forgets EXIF when it finishes
    samples_ = image.samples.data();
    run(read_pixels);
    return oriented(std::move(image), turn);
  }

 private:
  using Step = void (*)(JpegSession&);

  void run(Step step) {
    if (guarded(step)) return;
    fail(ErrorKind::kCorrupt, "{} is no JPEG image that can be decoded: {}", name_, message_);
  }

  /// False if libjpeg met an error, which message_ then describes.
  bool guarded(Step step) {
    if (setjmp(jump_)) return false;
    step(*this);
    return true;
  }

  static void read_header(JpegSession& s) {
    s.jpeg_.err = jpeg_std_error(&s.errors_);
    s.errors_.error_exit = on_error;
    s.errors_.emit_message = on_message;
    s.errors_.output_message = [](j_common_ptr) {};
    s.jpeg_.client_data = &s;
    jpeg_create_decompress(&s.jpeg_);
    s.progress_.progress_monitor = on_progress;
    s.jpeg_.progress = &s.progress_;
    s.jpeg_.mem->max_memory_to_use = kMaxMemory;
    jpeg_save_markers(&s.jpeg_, kExifMarker, 0xffff);
    jpeg_mem_src(&s.jpeg_, reinterpret_cast<const unsigned char*>(s.bytes_.data()), s.bytes_.size());
    jpeg_read_header(&s.jpeg_, TRUE);
  }

  static void read_pixels(JpegSession& s) {
    s.jpeg_.out_color_space = JCS_RGB;
    jpeg_start_decompress(&s.jpeg_);
    const std::size_t row = std::size_t{s.jpeg_.output_width} * 3;
    while (s.jpeg_.output_scanline < s.jpeg_.output_height) {
      JSAMPROW at = s.samples_ + s.jpeg_.output_scanline * row;
      jpeg_read_scanlines(&s.jpeg_, &at, 1);
    }
    jpeg_finish_decompress(&s.jpeg_);
  }

  int orientation() const {
    constexpr char kExif[] = "Exif\0";  // and the final 0: six bytes
    for (jpeg_saved_marker_ptr m = jpeg_.marker_list; m; m = m->next) {
      const auto data = std::as_bytes(std::span(m->data, m->data_length));
      if (data.size() < sizeof(kExif) || std::memcmp(data.data(), kExif, sizeof(kExif)) != 0) continue;
      return exif_orientation(data.subspan(sizeof(kExif)));
    }
    return 1;
  }

  static JpegSession& session(j_common_ptr jpeg) { return *static_cast<JpegSession*>(jpeg->client_data); }

  [[noreturn]] static void on_error(j_common_ptr jpeg) {
    jpeg->err->format_message(jpeg, session(jpeg).message_);
    longjmp(session(jpeg).jump_, 1);
  }

  /// A warning (level -1) means damage that libjpeg would paint over with grey. Only bytes between segments are
  /// harmless; some cameras leave them.
  static void on_message(j_common_ptr jpeg, int level) {
    if (level < 0 && jpeg->err->msg_code != JWRN_EXTRANEOUS_DATA) on_error(jpeg);
  }

  static void on_progress(j_common_ptr jpeg) {
    if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMaxScans) return;
    std::snprintf(session(jpeg).message_, sizeof(message_), "more than %d scans", kMaxScans);
    longjmp(session(jpeg).jump_, 1);
  }

  static constexpr int kExifMarker = JPEG_APP0 + 1;

  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  jmp_buf jump_{};
  std::span<const std::byte> bytes_;
  const std::string& name_;
  JSAMPLE* samples_ = nullptr;
  char message_[JMSG_LENGTH_MAX] = "";
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, std::int64_t max_pixels) {
  return JpegSession(bytes, name).decode(max_pixels);
}

}  // namespace hearth::service
