#include "nn/onnx_scan.h"

#include <array>
#include <cstdint>

#include "base/error.h"

namespace hearth::nn {

namespace {

/// Messages and strings in one file. A message of two bytes in the file takes up to 200 in memory, so this bounds the
/// expansion; large real networks have some ten thousand.
constexpr std::size_t kMaxItems = 1'000'000;
/// Bytes inside messages that the walk does not look into (quantisation annotations, sequence types, ...).
constexpr std::size_t kMaxOpaqueBytes = std::size_t{16} << 20;
constexpr int kMaxDepth = 24;

enum class Message { kModel, kGraph, kNode, kAttribute, kTensor, kValueInfo, kType, kTensorType, kShape, kFlat };

struct Child {
  Message parent;
  std::uint32_t field;
  Message child;
};

/// Fields that hold messages (field numbers of onnx.proto). kFlat messages hold only numbers and strings.
constexpr std::array kChildren = {
    Child{Message::kModel, 7, Message::kGraph},      Child{Message::kModel, 8, Message::kFlat},
    Child{Message::kModel, 14, Message::kFlat},      Child{Message::kGraph, 1, Message::kNode},
    Child{Message::kGraph, 5, Message::kTensor},     Child{Message::kGraph, 11, Message::kValueInfo},
    Child{Message::kGraph, 12, Message::kValueInfo}, Child{Message::kGraph, 13, Message::kValueInfo},
    Child{Message::kNode, 5, Message::kAttribute},   Child{Message::kAttribute, 5, Message::kTensor},
    Child{Message::kAttribute, 6, Message::kGraph},  Child{Message::kAttribute, 10, Message::kTensor},
    Child{Message::kAttribute, 11, Message::kGraph}, Child{Message::kTensor, 3, Message::kFlat},
    Child{Message::kTensor, 13, Message::kFlat},     Child{Message::kValueInfo, 2, Message::kType},
    Child{Message::kType, 1, Message::kTensorType},  Child{Message::kTensorType, 2, Message::kShape},
    Child{Message::kShape, 1, Message::kFlat},
};

/// Fields with messages that the walk does not enter.
constexpr std::array kOpaque = {
    Child{Message::kModel, 20, Message::kFlat},     Child{Message::kModel, 25, Message::kFlat},
    Child{Message::kModel, 26, Message::kFlat},     Child{Message::kGraph, 14, Message::kFlat},
    Child{Message::kGraph, 15, Message::kFlat},     Child{Message::kAttribute, 14, Message::kFlat},
    Child{Message::kAttribute, 15, Message::kFlat}, Child{Message::kAttribute, 22, Message::kFlat},
    Child{Message::kAttribute, 23, Message::kFlat}, Child{Message::kType, 4, Message::kFlat},
    Child{Message::kType, 5, Message::kFlat},       Child{Message::kType, 8, Message::kFlat},
    Child{Message::kType, 9, Message::kFlat},
};

template <std::size_t N>
const Child* find(const std::array<Child, N>& table, Message parent, std::uint64_t field) {
  for (const Child& entry : table) {
    if (entry.parent == parent && entry.field == field) return &entry;
  }
  return nullptr;
}

class Scanner {
 public:
  explicit Scanner(std::span<const std::byte> bytes) : bytes_(bytes) {}

  void message(Message type, std::size_t end, int depth) {
    require(depth <= kMaxDepth, ErrorKind::kCorrupt, "the ONNX file nests its messages more than {} deep", kMaxDepth);
    while (at_ < end) {
      const std::uint64_t key = varint(end);
      field(type, key >> 3, static_cast<unsigned>(key & 7), end, depth);
    }
  }

 private:
  void field(Message type, std::uint64_t number, unsigned wire, std::size_t end, int depth) {
    switch (wire) {
      case 0:
        varint(end);
        return;
      case 1:
        skip(8, end);
        return;
      case 5:
        skip(4, end);
        return;
      case 2:
        break;
      default:
        fail(ErrorKind::kCorrupt, "not an ONNX file: wire type {} at byte {}", wire, at_);
    }
    const std::uint64_t length = varint(end);
    require(length <= end - at_, ErrorKind::kCorrupt,
            "the ONNX file is truncated or damaged: {} bytes announced at byte {}, {} left", length, at_, end - at_);
    require(++items_ <= kMaxItems, ErrorKind::kResource, "the ONNX file holds more than {} messages and strings",
            kMaxItems);
    const std::size_t next = at_ + static_cast<std::size_t>(length);
    if (const Child* child = find(kChildren, type, number)) {
      message(child->child, next, depth + 1);
    } else if (find(kOpaque, type, number) != nullptr) {
      opaque_ += next - at_;
      require(opaque_ <= kMaxOpaqueBytes, ErrorKind::kResource,
              "the ONNX file holds more than {} bytes of functions, annotations or other parts that Hearth ignores",
              kMaxOpaqueBytes);
    }
    at_ = next;
  }

  void skip(std::size_t count, std::size_t end) {
    require(count <= end - at_, ErrorKind::kCorrupt, "the ONNX file is truncated or damaged at byte {}", at_);
    at_ += count;
  }

  std::uint64_t varint(std::size_t end) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      require(at_ < end, ErrorKind::kCorrupt, "the ONNX file is truncated or damaged at byte {}", at_);
      const auto byte = static_cast<std::uint64_t>(bytes_[at_++]);
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    fail(ErrorKind::kCorrupt, "not an ONNX file: a number longer than 10 bytes at byte {}", at_);
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::size_t items_ = 0;
  std::size_t opaque_ = 0;
};

}  // namespace

void scan_onnx(std::span<const std::byte> bytes) { Scanner(bytes).message(Message::kModel, bytes.size(), 0); }

}  // namespace hearth::nn
