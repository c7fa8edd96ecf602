// SPDX-License-Identifier: Apache-2.0
// Which text each virtual client has. Lazy: what client i has is found in time that depends on its
// own size, never on the number of clients.
//
// A source (folder, TSV, JSONL: sim/text_pool.h; people) gives pieces with a label; a partition
// deals them (sim/partitions.h). People have no finite pool: each client of a partition by label
// has authors of its own, one a subject, so that no two clients share a text whatever their number.
// The same (settings, seed) give the same texts on every machine; the hash pins them. Thread-safe
// to read.
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
  // The user's, where the partition is by user; else "client-12". Of people and by user unique.
  virtual std::string name(std::uint64_t client) const = 0;
  // Train, gate and report pieces by each piece's own hash, as on a device. May be none.
  virtual Result<std::vector<Piece>> pieces(std::uint64_t client) const = 0;
  // Training text in bytes, without reading it: of people what was asked for; for placement.
  virtual std::uint64_t bytes(std::uint64_t client) const = 0;
  // Of settings and source bytes: two runs with the same hash have the same texts.
  virtual Sha256 hash() const = 0;

  // What partitions go by: domains, subjects, folders. One without a name where there is none.
  virtual std::vector<std::string> labels() const = 0;
  // All of a client's text in bytes, by label: for reports of skew.
  virtual std::vector<std::uint64_t> label_bytes(std::uint64_t client) const = 0;

  // Held out: never asked to train, evaluated as somebody who joins later. Each client by itself
  // with chance data.held_out, whatever the number of clients.
  bool unseen(std::uint64_t client) const;

 protected:
  ClientData(double held_out, std::uint64_t seed) : held_out_(held_out), seed_(seed) {}

 private:
  double held_out_;
  std::uint64_t seed_;
};

// `base_folder`: what relative paths are relative to. `devices` 0: as many as the source has users,
// which people don't have. kNotFound, kCorrupt with the line, and kInvalidArgument where a pinned
// hash differs, with both.
Result<std::unique_ptr<ClientData>> open_client_data(const DataSettings& settings,
                                                     const fs::path& base_folder,
                                                     std::uint64_t devices, std::uint64_t seed);

// "by-user", "jsonl", ...: as settings and flags name them.
std::string_view source_name(DataSource source);
std::string_view partition_name(Partition partition);
std::string_view task_name(DataTask task);
// kInvalidArgument with all names.
Result<DataSource> parse_source(std::string_view name);
Result<Partition> parse_partition(std::string_view name);
Result<DataTask> parse_task(std::string_view name);

} // namespace coppice
