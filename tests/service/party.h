#pragma once

#include "service/client/client.h"
#include "service/server.h"
#include "tests/base/temporary_folder.h"
#include "tests/compiler/tiny_program.h"

namespace hearth::testing {

/// A folder with the bundles of the tiny network, keys and one encrypted batch.
class Party {
 public:
  explicit Party(const TinyNetwork& network = {}, bool with_keys = true) {
    const compiler::ServerBundle server_bundle = tiny_server(network);
    compiler::write_bundle(path("server"), server_bundle);
    compiler::write_bundle(path("client"), tiny_client(server_bundle));
    if (!with_keys) return;
    const service::Client owner = client();
    owner.make_keys(path("secret"), path("keys"));
    owner.encrypt_file(owner.load_secret(path("secret")), inputs(), "inputs", 0, 3, path("input"));
  }

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  service::Client client() const { return service::Client(path("client"), /*allow_insecure=*/true); }
  service::Server server() const { return service::Server(path("server")); }
  void run() const {
    const service::Server s = server();
    s.run(s.load_keys(path("keys")), path("input"), path("output"));
  }
  std::size_t entries() const { return folder_.entries(); }

  /// Three inputs of the tiny network.
  static NpyArray inputs() {
    NpyArray array{.shape = {3, 2, 4}, .values = {}};
    for (int i = 0; i < 3 * kTinySize; ++i) array.values.push_back(static_cast<float>(std::sin(i + 1)));
    return array;
  }
  static std::vector<float> input(std::size_t index) {
    const std::vector<float> all = inputs().values;
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(index * kTinySize);
    return {first, first + kTinySize};
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace hearth::testing
