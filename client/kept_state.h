// SPDX-License-Identifier: Apache-2.0
// What a device keeps from one round to the next where a recipe asks for it: corrections of its
// gradient, factors of its own, what its uploads lost. It never leaves the device.
//
// Note [Kept until it counts]
// Aggregator and devices move their vectors by the same deltas, so a device's may move only with a
// delta that was counted. What a round makes of them is stored beside what was there before, under
// the hash of the round's plan, and takes its place when the round is released with the device's
// upload. Until then every training begins with what was there before: a round that is trained
// twice, or trained and lost, moves nothing twice.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/result.h"

namespace coppice {

// By name; client/kept_rules.h says which there are and in what order their values stand.
using KeptVectors = std::map<std::string, std::vector<float>>;

// What they belong to: of another fleet, base or shape of adapter they mean nothing.
struct KeptBinding {
  Sha256 fleet;
  Sha256 base; // of the base model's file
  Sha256 spec; // of AdapterSpec::encode()
  bool operator==(const KeptBinding&) const = default;
};

struct KeptState {
  KeptBinding binding;
  AdapterVersion began_from; // the release that the last training began from
  KeptVectors counted;       // by rounds that were released with this device's upload
  Sha256 plan;               // of the last training; zero: it counts already, or there was none
  KeptVectors made;          // by that training

  // Layout: docs/formats.md, "What a device keeps". A SHA-256 stands at the end.
  Bytes encode() const;
  // kCorrupt for what encode() can't have written, numbers that are not finite included;
  // kUnsupported for another version.
  static Result<KeptState> decode(ByteSpan bytes);
};

// A device's file, of mode 0600, replaced atomically. Thread-compatible: one thread trains, and
// says that a round counts only after its training.
class KeptFile {
 public:
  explicit KeptFile(fs::path path) : path_(std::move(path)) {}

  bool exists() const;
  // What a training begins with. Nothing where there is no file, or one of another binding; one
  // that is damaged is said in the log, and counts as none.
  Result<KeptVectors> counted(const KeptBinding& binding) const;
  struct Training {
    Sha256 plan;
    AdapterVersion began_from; // the release that it began from
  };
  Result<void> store_made(const KeptBinding& binding, const Training& training,
                          KeptVectors made) const;
  // One more vector of what the training of that plan made. Nothing where the last training was
  // another's.
  Result<void> add_made(const Sha256& plan, const std::string& name,
                        std::vector<float> values) const;
  // The round of that plan is released with this device's upload. Nothing where the last training
  // was another's.
  Result<void> count(const Sha256& plan) const;
  // A release was reverted under that version: what came of trainings before it is removed.
  Result<void> forget_before(AdapterVersion revert) const;

 private:
  Result<KeptState> read() const; // empty where there is none, or a damaged one
  Result<void> write(const KeptState& state) const;

  fs::path path_;
};

} // namespace coppice
