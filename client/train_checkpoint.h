// SPDX-License-Identifier: Apache-2.0
// A training's state on disk, from which it goes on as if it had never stopped.
//
// The file holds the adapter's values and the optimizer's moments as float32, and the place in the
// text; what they belong to stands there as hashes, and a file that belongs to something else is
// refused. Its last bytes are the SHA-256 of all before them. It tells what was learnt from the
// owner's text: mode 0600, and it never leaves the device. Layout: docs/formats.md, "Training
// checkpoint".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "client/trainer.h"

namespace coppice {

// What a training is, and what decides its bits. Two with the same identity have the same steps.
struct TrainIdentity {
  Sha256 base;        // of the base model's file
  Sha256 spec;        // of AdapterSpec::encode()
  Sha256 recipe;      // every field of it
  Sha256 text;        // the tokens of train and gate text
  Sha256 start;       // the first values, the adapters below, and the key of the batches' order
  std::string engine; // name, device, instruction level, and the tokens that it computes at once
};
TrainIdentity identity_of(const Engine& engine, const ExampleSet& examples,
                          const TrainRequest& request, const Sha256& base);

// After state.steps whole steps. Spans belong to whoever gave them.
struct TrainCheckpoint {
  TrainState state;
  BatchStream::Position position; // of the next batch
  std::uint64_t tokens = 0;
  std::uint64_t looked_at =
      0; // the step after which gate text was scored last; 0: before the first
  double gate_before = 0;
  double loss_first = 0;
  double loss_last = 0;
  double seconds = 0;   // of the steps
  Millis elapsed{0};    // of the recipe's max_seconds
  double best_loss = 0; // on gate text
  std::uint32_t without_gain = 0;
  std::span<const float> best; // the adapter with best_loss; empty without early stopping
};

// Its bytes in parts, as they are written; they refer to the checkpoint's spans.
struct CheckpointBytes {
  Bytes head;
  std::vector<ByteSpan> floats;
  Sha256 hash; // of all that
};
CheckpointBytes serialize_checkpoint(const TrainIdentity& identity,
                                     const TrainCheckpoint& checkpoint);

// Verified whole before anything is taken from it; the spans point into `bytes`, which must be
// aligned as floats are. kCorrupt: no checkpoint, cut off, changed, or numbers that no training
// leaves. kUnsupported: another version. kInvalidArgument: of another training than `identity`,
// with what differs.
Result<TrainCheckpoint> parse_checkpoint(ByteSpan bytes, const TrainIdentity& identity,
                                         std::size_t parameters);

// Atomic, so that a kill leaves the one before.
Result<void> write_checkpoint(const fs::path& path, const TrainIdentity& identity,
                              const TrainCheckpoint& checkpoint);

struct LoadedCheckpoint {
  std::shared_ptr<const MappedFile> file; // where the spans point
  TrainCheckpoint checkpoint;
};
// None if there is no such file; otherwise parse_checkpoint() with the file's name.
Result<std::optional<LoadedCheckpoint>> read_checkpoint(const fs::path& path,
                                                        const TrainIdentity& identity,
                                                        std::size_t parameters);

// After the training's result is stored, or is not wanted any more.
void forget_checkpoint(const fs::path& path);

} // namespace coppice
