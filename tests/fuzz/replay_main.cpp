/// Runs a fuzz target without libFuzzer: on every file of the given folders, and on broken copies of each file, cut
/// short or with one bit turned. The copies are the same on every run. A crash, a hang or an exception that the target
/// does not expect ends the program, which is the test's failure; so is a folder without files.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

// libFuzzer fixes this name and signature.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int kCuts = 64;
constexpr int kFlips = 256;

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Hands over a copy of exactly `size` bytes, so that a sanitizer sees a read past the end.
void run(const Bytes& bytes, std::size_t size) {
  const Bytes copy(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

int run_cut_short(const Bytes& bytes) {
  const int cuts = static_cast<int>(std::min<std::size_t>(kCuts, bytes.size()));
  for (int i = 0; i < cuts; ++i)
    run(bytes, bytes.size() * static_cast<std::size_t>(i) / static_cast<std::size_t>(cuts));
  return cuts;
}

/// Half of the flips fall into the first 64 bytes, where headers and lengths are.
int run_with_flipped_bits(Bytes bytes) {
  if (bytes.empty()) return 0;
  std::mt19937_64 random(bytes.size());
  for (int i = 0; i < kFlips; ++i) {
    const std::size_t range = i % 2 == 0 ? std::min<std::size_t>(bytes.size(), 64) : bytes.size();
    const std::size_t at = random() % range;
    const auto bit = static_cast<std::uint8_t>(1U << (random() % 8));
    bytes[at] ^= bit;
    run(bytes, bytes.size());
    bytes[at] ^= bit;
  }
  return kFlips;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  int runs = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& path : files_in(argv[i])) {
      std::printf("%s\n", path.c_str());
      std::fflush(stdout);  // names the culprit when the next line crashes
      const Bytes bytes = read_file(path);
      run(bytes, bytes.size());
      runs += 1 + run_cut_short(bytes) + run_with_flipped_bits(bytes);
      ++files;
    }
  }
  std::printf("%d files, %d runs\n", files, runs);
  return files > 0 ? 0 : 1;
}
