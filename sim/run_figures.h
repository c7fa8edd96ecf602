// SPDX-License-Identifier: Apache-2.0
// What a run comes to: distributions over clients, the way to a target, figures of the end.
//
// Values that aren't finite are left out everywhere; what has none left is NaN. Bits per byte are
// better when lower, so the worst decile is the highest. Pure; thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/run_record.h"

namespace coppice {

// Of ascending values, between neighbours by straight lines, as NumPy's default (Hyndman and Fan's
// type 7): place (n - 1) q. NaN without values.
double quantile(std::span<const double> ascending, double q);

struct Distribution {
  std::size_t count = 0;
  double mean = NAN;
  double p10 = NAN;
  double median = NAN;
  double p90 = NAN;
  double worst_decile = NAN; // mean of the ceil(n / 10) highest
};
Distribution distribution_of(std::vector<double> values);

// Bits a byte of what the client answers with after its gate.
double served_bits(const ClientEvent& client);

// The clients' lines of the last round that has any, in the file's order.
std::vector<ClientEvent> last_clients(const RunRecord& run);

// One figure of each client: {"shared", of(client)}.
struct ClientMeasure {
  const char* name;
  double (*of)(const ClientEvent& client);
};
// base, shared, personal, what serves, local only.
std::span<const ClientMeasure> client_measures();

struct HarmShare {
  std::size_t clients = 0;
  std::size_t harmed = 0;       // worse than with the base, with what serves
  std::size_t shared_worse = 0; // worse than with the base, if all took the shared adapter
};
HarmShare harm_of(std::span<const ClientEvent> clients);

// The evaluations of one line of a chart, by round.
std::vector<EvaluationEvent> evaluations_of(const RunRecord& run, std::string_view set,
                                            std::string_view adapter);
std::optional<EvaluationEvent> last_evaluation(const RunRecord& run, std::string_view set,
                                               std::string_view adapter);
// The first where bits per byte are at most `target`.
std::optional<EvaluationEvent> first_at(std::span<const EvaluationEvent> evaluations,
                                        double target);

// A level of bits per byte on the global report set, and what it is.
struct TargetLevel {
  std::string name;
  double bits_per_byte = 0;
};
// The scenarios' own targets, the best that every run reached, and half the way there from the
// first run's base. Descending: the easiest first.
std::vector<TargetLevel> target_levels(std::span<const RunRecord> runs);

// The last that a round stated; NaN if none did.
double last_of(const RunRecord& run, double PlayedRoundEvent::*field);
inline double noise_multiplier_of(const RunRecord& run) {
  return last_of(run, &PlayedRoundEvent::noise_multiplier);
}

// Sums over the rounds.
struct RoundTotals {
  std::uint64_t rounds = 0; // that have a line
  std::uint64_t released = 0;
  std::uint64_t asked = 0;
  std::uint64_t declined = 0;
  std::uint64_t counted = 0;
  std::uint64_t tokens = 0;
  DroppedEvent dropped;
};
RoundTotals totals_of(const RunRecord& run);

} // namespace coppice
