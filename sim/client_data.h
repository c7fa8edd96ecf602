// SPDX-License-Identifier: Apache-2.0
// Which text each virtual client has. Lazy: what client i has is found in time that depends on its
// own size, never on the number of clients.
//
// A source (folder, TSV, JSONL, people) gives pieces with a label; a partition deals them. The same
// (settings, seed) give the same texts on every machine; the hash pins them. Thread-safe to read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/example_store.h"
#include "sim/scenario.h"

namespace coppice {

class ClientData {
 public:
  virtual ~ClientData() = default;
  virtual std::uint64_t clients() const = 0;
  virtual std::string name(std::uint64_t client) const = 0; // of the user, where the source has one
  // Train, gate and report pieces by each piece's own hash, as on a device.
  virtual Result<std::vector<Piece>> pieces(std::uint64_t client) const = 0;
  // Training text in bytes, without reading it all where the source knows; for placement.
  virtual std::uint64_t bytes(std::uint64_t client) const = 0;
  // Of settings and source bytes: two runs with the same hash have the same texts.
  virtual Sha256 hash() const = 0;
};

// `base_folder`: what relative paths are relative to. kNotFound, kCorrupt with the line, and
// kInvalidArgument where a pinned hash differs, with both.
Result<std::unique_ptr<ClientData>> open_client_data(const DataSettings& settings,
                                                     const fs::path& base_folder,
                                                     std::uint64_t devices, std::uint64_t seed);

} // namespace coppice
