// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_parameters.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/text.h"

namespace coppice {
namespace {

// Note [Degree and threshold]
// Of n members c are corrupt and d leave, whichever the worst case is; k neighbours of each are
// drawn by the permutation; a secret needs t of its k shares.
//
// Secrecy has two parts, of 2^-(security_bits + 1) each.
// Connected: taking the corrupt and the gone out of the ring must not cut it. A cut takes k / 2
// members in a row at two places; the union over all n (n - k - 1) / 2 pairs of places bounds it.
// Held back: no member may have y1 or more corrupt neighbours. A semi-honest server asks each
// neighbour for a share of one secret only, so t >= y1. A semi-malicious one may ask some honest
// neighbours for one secret's share and the others for the other's, while corrupt ones give both:
// k + y shares in all for y corrupt ones, and so 2 t > k + (y1 - 1).
// Recovered, 2^-correctness_bits: no member may have y2 or more neighbours that leave: t <= k + 1 -
// y2. Corrupt devices that refuse to answer count as gone.
//
// Tails are those of k draws from all n, not from the n - 1 others. Summed over all members that is
// exact: k draws and then one more, the member in question, are k + 1 draws without replacement.
// So n times the tail is the expected number of members that fare badly, which bounds the
// probability that any does.
//
// In a complete graph every member has at most c corrupt and d leaving neighbours: y1 = c + 1 and
// y2 = d + 1 always, and nothing is left to chance.

// Rates times members are rounded down, and .33 x 100 must be 33.
constexpr double kRateSlack = 1e-14;
struct Problem {
  std::uint32_t members;
  std::uint32_t corrupt;
  std::uint32_t dropped;
  bool some_drop; // more than none are expected to drop out, if less than one device
  ServerModel server;
  double secrecy_bits; // of each of the two parts
  double correctness_bits;
};

const char* server_words(ServerModel server) {
  return server == ServerModel::kSemiMalicious ? "semi-malicious" : "semi-honest";
}

Result<Problem> make_problem(std::uint32_t members, const GraphAssumptions& given) {
  // Written so that a NaN is refused too.
  if (!(given.corrupt >= 0 && given.corrupt < 1 && given.dropout >= 0 && given.dropout < 1)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the corrupt and drop-out fractions of secure aggregation must be at least 0 "
                     "and below 1, and are ",
                     given.corrupt, " and ", given.dropout)};
  }
  const auto allowed = [](double bits) { return bits >= 1 && bits <= 128; };
  if (!allowed(given.security_bits) || !allowed(given.correctness_bits)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the security and correctness bits of secure aggregation must be 1 to 128, "
                     "and are ",
                     given.security_bits, " and ", given.correctness_bits)};
  }
  if (members > kMaxMembers) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("secure aggregation of ", members, " devices is more than the ", kMaxMembers,
                     " that its parameters are checked for; sample fewer")};
  }
  if (members < kMinMembers) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("secure aggregation needs at least ", kMinMembers, " devices, and has ",
                     members, "; wait for more")};
  }
  const auto whole = [members](double share) {
    return static_cast<std::uint32_t>((share + kRateSlack) * members);
  };
  return Problem{.members = members,
                 .corrupt = whole(given.corrupt),
                 .dropped = whole(given.dropout),
                 .some_drop = given.dropout > 0,
                 .server = given.server,
                 .secrecy_bits = given.security_bits + 1,
                 .correctness_bits = given.correctness_bits};
}

// ln n!: exact products while a double holds them, then Stirling's series, whose next term is below
// 1e-15 from there. (std::lgamma writes a global.)
double log_factorial(std::uint32_t count) {
  constexpr std::uint32_t kStirlingFrom = 23;
  if (count < kStirlingFrom) {
    double product = 1;
    for (std::uint32_t i = 2; i <= count; ++i) product *= i;
    return std::log(product);
  }
  const double n = count;
  const double square = n * n;
  const double correction =
      (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - 1.0 / (1680 * square)) / square) / square) / n;
  return (n + 0.5) * std::log(n) - n + 0.5 * std::log(2 * std::numbers::pi) + correction;
}

// Hypergeometric: `drawn` members without replacement, and `marked` of all are bad.
struct Draw {
  std::uint32_t members;
  std::uint32_t marked;
  std::uint32_t drawn;

  std::uint32_t mean_floor() const {
    return static_cast<std::uint32_t>(std::uint64_t{marked} * drawn / members);
  }

  // Pr[bad ones among the drawn >= `least`], for `least` above the mean: the terms fall from there.
  double upper_tail(std::uint32_t least) const {
    if (least > std::min(marked, drawn)) return 0;
    const double good = members - marked;
    double term = std::exp(log_probability(least));
    double sum = 0;
    for (double bad = least; term > sum * 1e-17; ++bad) {
      sum += term;
      const double good_left = good - drawn + bad + 1; // of the good ones, when one more is bad
      term *= (marked - bad) / (bad + 1) * ((drawn - bad) / good_left);
    }
    return sum;
  }

  // The least count, from `from` up, that is so rare that its tail is below 2^-log_odds / members.
  // `from` must be no more than the answer.
  std::uint32_t first_rare(double log_odds, std::uint32_t from) const {
    const double odds = std::exp2(-log_odds) / members;
    std::uint32_t candidate = std::max(from, mean_floor() + 1); // the mean's own tail is a half
    std::uint32_t common = candidate - 1;
    for (std::uint32_t stride = 1; upper_tail(candidate) >= odds; stride *= 2) {
      common = candidate;
      candidate += stride;
    }
    while (candidate - common > 1) {
      const std::uint32_t middle = common + (candidate - common) / 2;
      (upper_tail(middle) >= odds ? common : candidate) = middle;
    }
    return candidate;
  }

 private:
  // Of exactly `bad`, which is possible: at least the mean, and no more than marked and drawn.
  double log_probability(std::uint32_t bad) const {
    const auto log_choose = [](std::uint32_t all, std::uint32_t some) {
      return log_factorial(all) - log_factorial(some) - log_factorial(all - some);
    };
    return log_choose(marked, bad) + log_choose(members - marked, drawn - bad) -
           log_choose(members, drawn);
  }
};

// Whether corrupt and gone members cut the ring only as rarely as allowed.
bool stays_connected(const Problem& problem, std::uint32_t degree) {
  const std::uint32_t bad = problem.corrupt + problem.dropped;
  if (degree > bad) return true;
  if (bad >= problem.members) return false;
  const double places = 0.5 * problem.members * (problem.members - degree - 1.0);
  const double cut = std::log(places) + log_factorial(bad) - log_factorial(bad - degree) +
                     log_factorial(problem.members - degree) - log_factorial(problem.members);
  return cut < -problem.secrecy_bits * std::numbers::ln2;
}

// Corrupt and gone members (the latter twice, against a semi-malicious server) beyond nine tenths:
// only graphs next to complete would do, whatever the size. As in Google's finder. Within it, from
// kCompleteGraphBelow on, some sparse graph meets even the worst case, if anybody may be corrupt.
bool leaves_no_margin(const Problem& problem) {
  const std::uint64_t times = problem.server == ServerModel::kSemiMalicious ? 2 : 1;
  return 10 * (problem.corrupt + times * problem.dropped) > 9 * std::uint64_t{problem.members};
}

// The smallest threshold that holds secrets back from `rare_corrupt` - 1 corrupt neighbours.
std::uint32_t least_threshold(ServerModel server, std::uint32_t degree,
                              std::uint32_t rare_corrupt) {
  return server == ServerModel::kSemiHonest ? std::max(rare_corrupt, 2U)
                                            : (degree + rare_corrupt + 1) / 2;
}

Error infeasible(const Problem& problem, std::string_view graph) {
  return {ErrorCode::kFailedPrecondition,
          cat("no ", graph, " of ", problem.members, " devices, of which ", problem.corrupt,
              " work with a ", server_words(problem.server), " server and ", problem.dropped,
              " leave, keeps 2^-", problem.secrecy_bits - 1,
              " secrecy and recovers the sum but "
              "for 2^-",
              problem.correctness_bits,
              "; gather more devices, or assume fewer corrupt or leaving ones")};
}

// The highest threshold that still recovers: Note [Equivocation and the size of a sum].
Result<GraphParameters> find_complete(const Problem& problem) {
  const std::uint32_t degree = problem.members - 1;
  const std::uint32_t least = least_threshold(problem.server, degree, problem.corrupt + 1);
  if (least + problem.dropped > degree) return infeasible(problem, "complete graph");
  // A small fleet's share of drop-outs may round to nobody; one may leave all the same.
  const bool spare = problem.dropped == 0 && problem.some_drop && least < degree;
  return GraphParameters{.degree = degree, .threshold = degree - problem.dropped - (spare ? 1 : 0)};
}

// The least even degree that stays connected. One degree more multiplies the bound by less than
// (bad - k) / (n - k) < 1, so it falls with the degree, and bisection finds where it is low enough.
std::uint32_t least_connected_degree(const Problem& problem) {
  std::uint32_t low = 0; // in halves: the ring's reach to one side
  std::uint32_t high = problem.members / 2;
  while (high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    (stays_connected(problem, 2 * middle) ? high : low) = middle;
  }
  return 2 * high;
}

Result<GraphParameters> find_sparse(const Problem& problem) {
  const std::uint32_t members = problem.members;
  const bool malicious = problem.server == ServerModel::kSemiMalicious;
  if (leaves_no_margin(problem)) return infeasible(problem, "sparse graph");
  // Not every degree above a feasible one is feasible, for counts are whole. But two neighbours
  // more bring 0 to 2 bad ones, in distribution: the rare counts never fall with the degree, and
  // the highest threshold that recovers rises by 2 at most. The lowest that is secret never falls,
  // and against a semi-malicious server it rises by 1 at least. So a gap between the two can't
  // close before the degree that is tried next.
  std::uint32_t rare_corrupt = 0;
  std::uint32_t rare_dropped = 0;
  std::uint32_t degree = least_connected_degree(problem);
  while (degree < members - 1) {
    rare_corrupt =
        Draw{members, problem.corrupt, degree}.first_rare(problem.secrecy_bits, rare_corrupt);
    rare_dropped =
        Draw{members, problem.dropped, degree}.first_rare(problem.correctness_bits, rare_dropped);
    const std::uint32_t least = least_threshold(problem.server, degree, rare_corrupt);
    const std::uint32_t most = degree + 1 - rare_dropped;
    if (least <= most) return GraphParameters{.degree = degree, .threshold = least};
    const std::uint32_t gap = least - most;
    degree += 2 * (malicious ? gap : (gap + 1) / 2);
  }
  return infeasible(problem, "sparse graph");
}

} // namespace

Result<GraphParameters> find_sparse_graph_parameters(std::uint32_t members,
                                                     const GraphAssumptions& assumptions) {
  return find_sparse(COPPICE_TRY(make_problem(members, assumptions)));
}

Result<GraphParameters> find_graph_parameters(std::uint32_t members,
                                              const GraphAssumptions& assumptions) {
  const Problem problem = COPPICE_TRY(make_problem(members, assumptions));
  if (members >= kCompleteGraphBelow) return find_sparse(problem);
  return find_complete(problem);
}

Result<void> check_graph_security(std::uint32_t members, const GraphParameters& parameters,
                                  const GraphAssumptions& assumptions) {
  const Problem problem = COPPICE_TRY(make_problem(members, assumptions));
  const std::uint32_t degree = parameters.degree;
  const std::uint32_t threshold = parameters.threshold;
  const bool complete = degree == members - 1;
  const auto refuse = [&](const auto&... why) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("the graph of ", members, " devices with ", degree, " neighbours each and ",
                     "threshold ", threshold, " is refused: ", why...)};
  };
  if (!complete && members < kCompleteGraphBelow) {
    return refuse("with fewer than ", kCompleteGraphBelow, " devices all are neighbours");
  }
  if (!complete && (degree == 0 || degree >= members || degree % 2 != 0)) {
    return refuse("the number of neighbours must be even, from 2 up, or all others");
  }
  if (threshold < 2 || threshold > degree) {
    return refuse("the threshold must be 2 to the number of neighbours");
  }
  if (!complete && !stays_connected(problem, degree)) {
    return refuse("with ", problem.corrupt, " corrupt and ", problem.dropped,
                  " gone it falls apart more often than 2^-", assumptions.security_bits,
                  " allows; it needs more neighbours");
  }
  const std::uint32_t rare_corrupt =
      complete ? problem.corrupt + 1
               : Draw{members, problem.corrupt, degree}.first_rare(problem.secrecy_bits, 0);
  const std::uint32_t least = least_threshold(problem.server, degree, rare_corrupt);
  if (threshold < least) {
    return refuse("with ", problem.corrupt, " devices working with a ",
                  server_words(problem.server), " server, 2^-", assumptions.security_bits,
                  " needs a threshold of ", least);
  }
  return {};
}

} // namespace coppice
