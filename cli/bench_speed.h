// SPDX-License-Identifier: Apache-2.0
// What the benchmarks of the engine share: what this machine can do at best, measured in the same
// run; seeded tokens; and how they are told.
#pragma once

#include <string>
#include <vector>

#include "cli/command_options.h"
#include "cli/console.h"
#include "cli/model_options.h"

namespace coppice {

inline constexpr char kInt8Activations[] = "int8";
inline constexpr char kFloatActivations[] = "float";
inline constexpr unsigned kBandwidthTries = 5; // of reading memory; the fastest counts

// The best products of one thread, in GFLOP/s: LibTorch's where its module is there, else our own
// tiles.
struct Ceiling {
  double f32_gflops = 0;
  double bf16_gflops = 0; // 0: there is none
  std::string source;
  double best() const { return f32_gflops > bf16_gflops ? f32_gflops : bf16_gflops; }
};
// Twelve tries: once before the work and once after, of which better() is the ceiling.
Result<Ceiling> measure_ceiling();
Ceiling better(const Ceiling& a, const Ceiling& b);
Json ceiling_json(const Ceiling& ceiling, unsigned threads); // of all threads together

double peak_resident_mb();                             // of this process, so far
std::string threads_text(const ModelOptions& options); // "2 threads"

// Seeded, of the whole vocabulary.
std::vector<TokenId> random_tokens(const BaseModel& base, std::size_t count, std::uint64_t step);

void add_count_option(CommandOptions& command, const char* flag, std::uint32_t& value,
                      std::uint32_t lowest, const char* help);
void add_activations_option(CommandOptions& command, std::string& activations);

} // namespace coppice
