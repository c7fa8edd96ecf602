// SPDX-License-Identifier: Apache-2.0
// What a simulation writes down: one JSON object a line in events.jsonl, in virtual time only, so
// that its SHA-256 is a run's fingerprint. docs/simulation.md lists every field.
//
// {"event":"round", "round", "started_s", "time_s", "asked", "accepted", "declined", "trained",
//  "counted", "dropped":{"answer","training","masking","uploading","unmasking","late"},
//  "bytes_down", "bytes_up", "joules", "metrics":{NAME: MEAN}, "released", "reason", "version",
//  "release_sha256", "epsilon", "noise_multiplier", "clip_norm", "clipped", "clamped",
//  "cosine_mean", "cosine_p10", "cosine_p90", "product_gap", "tokens", "participants",
//  "participation_gini", "late"?, "staleness"?, "stale"?, "under_way"?}
//   bytes and joules are of this round alone; metrics are what the round's metric slots said, and
//   the strategy of its step;
//   "epsilon" is cumulative; "clipped" the share of deltas that the clip shortened; "cosine_*" of
//   single deltas with their mean; "product_gap" |mean(BA) - mean(B) mean(A)| over |mean(BA)|;
//   "late" of the counted uploads came after their own round, "staleness" releases late on average;
//   "under_way" devices go on after this round, and "stale" ones are too late to;
//   "noise_multiplier" of the cohort that is paid for; "participants" and "participation_gini" up
//   to here (sim/participation.h).
// {"event":"evaluation", "round", "time_s", "bytes_up", "bytes_down", "joules", "epsilon",
//  "set":"global"|"public"|"unseen"|"gate", "adapter":"base"|"shared"|"centralized",
//  "bits_per_byte", "nats_per_token", "tokens", "token_accuracy", "choice_accuracy"?,
//  "choice_accuracy_by_byte"?, "exact_match"?, "rouge_l"?}
//   round 0 is before the first; bytes, joules and epsilon are cumulative.
// {"event":"client", "round", "client", "name", "class", "seen", "train_bytes", "report_bytes",
//  "base", "shared", "personal"?, "local"?, "centralized"?, "served":"base"|"shared"|"personal",
//  "harmed", "hostile"?}
//   base, shared, personal, local, centralized are bits a byte on its report text; harmed: what
//   serves is worse there than the base; hostile: stands there, as true, of a client whose device
//   takes part in the attack.
// {"event":"end", "rounds", "released", "time_s", "bytes_up", "bytes_down", "joules", "epsilon",
//  "hostile"?, "reason"}
//   "hostile" counts the devices that an attack drew, where there is one.
//
// manifest.json beside it: {"schema":"coppice.sim_manifest.v1", "name", "scenario" (all settings
// with their origins), "seed", "program_version", "engine", "device", "instruction_level",
// "base_sha256", "data_sha256", "adapter_sha256", "simulation_only": [reasons], "workers", "host",
// "started"}.
#pragma once

#include "formats/json.h"
#include "sim/virtual_time.h"

namespace coppice {

inline constexpr const char* kEventsFile = "events.jsonl";
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kReportFile = "report.html";
inline constexpr const char* kTimingFile = "timing.jsonl"; // wall time, outside the fingerprint

} // namespace coppice
