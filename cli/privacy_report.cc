// SPDX-License-Identifier: Apache-2.0
#include "cli/privacy_report.h"

#include <algorithm>

#include "aggregator/strategy.h"
#include "base/text.h"
#include "cli/table.h"

namespace coppice {
namespace {

std::string wrap_text(const PrivacyAnswer& answer) {
  return cat("a sum wraps with at most 2^-", fixed(answer.plan.encoding.wrap_bits, 0));
}

const char* noise_words(Adversary adversary) {
  return adversary == Adversary::kRelease
             ? "discrete Gaussian, added to the sum by the aggregator (central)"
             : "Skellam, a share by each device before masking (skellam)";
}

const char* adversary_words(Adversary adversary) {
  return adversary == Adversary::kRelease ? "whoever sees the releases, not the aggregator"
                                          : "the aggregator too";
}

} // namespace

bool has_ffa() {
  return std::ranges::any_of(all_strategies(), [](const StrategyEntry& entry) {
    return std::string_view(entry.name).find("ffa") != std::string_view::npos;
  });
}

void print_answer(Console& console, const PrivacyQuestion& question, const PrivacyAnswer& answer) {
  const auto line = [&console](std::string_view name, const std::string& value) {
    console.print(cat("  ", name, std::string(18 - name.size(), ' '), value));
  };
  console.print(cat(grouped(question.rounds), " rounds, ", grouped(question.cohort), " of ",
                    grouped(question.population), " devices in each, against ",
                    adversary_words(question.adversary), ":"));
  line("noise multiplier",
       cat(fixed(answer.noise_multiplier, 3), "   ", noise_words(question.adversary)));
  line("epsilon", cat(fixed(answer.accounted_epsilon, 3), " of ", question.epsilon, " at delta ",
                      question.delta, ", for adding or removing one device"));
  line("noise over clip",
       cat(fixed(answer.noise_over_clip, 3), "   ",
           answer.can_learn() ? "can learn" : "CAN'T LEARN", ": the limit is ", kMostNoiseOverClip,
           " (as encoded: ", fixed(answer.encoded_noise_over_clip, 3), ")"));
  line("ring", cat(answer.plan.slots.front().bits.value, " bits, rotated; ", wrap_text(answer),
                   "; rounding adds at most ", percent(answer.inflation), " to a delta's norm"));
  line("masks", cat("degree ", answer.graph.degree, ", threshold ", answer.graph.threshold,
                    ": a device masks with ", answer.graph.degree, " others, ",
                    answer.graph.threshold, " of them recover it"));
  line("bytes a device",
       cat(grouped(answer.bytes.up()), " up a round: ", grouped(answer.bytes.upload),
           " for the delta, ", grouped(answer.bytes.secagg_up), " for secure aggregation (and ",
           grouped(answer.bytes.secagg_down), " of it down)"));
}

void print_settings(Console& console, const PrivacyQuestion& question,
                    const PrivacyAnswer& answer) {
  const bool central = question.adversary == Adversary::kRelease;
  console.print();
  console.print("In aggregator.toml:");
  console.print("  [round]");
  if (central) {
    console.print("  sampling = \"poisson\"");
  } else { // how much noise can be counted on follows from the fewest survivors
    console.print(cat("  min_train_nodes = ", question.cohort));
    console.print(cat("  min_survivors = ", answer.plan.sum.min_survivors));
  }
  console.print(
      cat("  fraction_train = ", question.cohort / static_cast<double>(question.population),
          "\n  corrupt_fraction = ", question.graph.corrupt, "\n  dropout_fraction = ",
          question.graph.dropout, "\n  weighted_by = \"uniform\"\n  rotate = true\n  ring_bits = ",
          answer.plan.slots.front().bits.value, "\n  clip_norm = ", question.clip));
  console.print(cat("  [privacy]\n  noise = \"", central ? "central" : "skellam",
                    "\"\n  noise_multiplier = ", fixed(answer.noise_multiplier, 4),
                    "\n  epsilon = ", question.epsilon, "\n  delta = ", question.delta,
                    "\n  rounds = ", question.rounds, "\n  population = ", question.population));
}

void print_alternatives(Console& console, const PrivacyQuestion& question,
                        const PrivacyAnswer& answer, const std::vector<Alternative>& found) {
  console.print();
  if (found.empty()) {
    const std::uint64_t cohort = cohort_at_same_rate(question, answer);
    console.print(cat("No smaller adapter, larger cohort of these devices (up to ",
                      grouped(limits::kRosterMembers), " in one sum) or epsilon up to ",
                      kMostEpsilon, " makes it learn. At this sampling rate it takes a cohort of ",
                      grouped(cohort), ": run without noise (privacy.noise = none)."));
    return;
  }
  Table table({{"nearest that can learn"},
               {"parameters", Align::kRight},
               {"cohort", Align::kRight},
               {"epsilon", Align::kRight},
               {"noise", Align::kRight},
               {"noise over clip", Align::kRight},
               {"ring", Align::kRight},
               {"k/t", Align::kRight},
               {"bytes up", Align::kRight}});
  for (const Alternative& other : found) {
    table.add_row({other.change, grouped(other.question.parameters), grouped(other.question.cohort),
                   cat(other.question.epsilon), fixed(other.answer.noise_multiplier, 3),
                   fixed(other.answer.noise_over_clip, 3),
                   cat(other.answer.plan.slots.front().bits.value),
                   cat(other.answer.graph.degree, "/", other.answer.graph.threshold),
                   grouped(other.answer.bytes.up())});
  }
  console.write(table.render());
  if (!has_ffa()) {
    console.print("ffa freezes A, as it was drawn; this version has no such strategy yet.");
  }
}

std::string without_noise(const PrivacyAnswer& answer) {
  return cat(
      "Without noise, secure aggregation still promises that the aggregator learns a round's "
      "sum over at least ",
      grouped(answer.plan.sum.min_survivors),
      " devices or nothing, if no more are corrupt or leave than was taken. It promises "
      "nothing about what that sum, or a release, tells of one of them.");
}

Json answer_json(const PrivacyQuestion& question, const PrivacyAnswer& answer) {
  return {{"noise_multiplier", answer.noise_multiplier},
          {"ring_bits", answer.plan.slots.front().bits.value},
          {"degree", answer.graph.degree},
          {"threshold", answer.graph.threshold},
          {"noise_over_clip", answer.noise_over_clip},
          {"bytes_per_device", answer.bytes.up()},
          {"can_learn", answer.can_learn()},
          {"parameters", question.parameters},
          {"cohort", question.cohort},
          {"epsilon", question.epsilon},
          {"accounted_epsilon", answer.accounted_epsilon},
          {"noise_over_clip_encoded", answer.encoded_noise_over_clip},
          {"wrap_log2_probability", -answer.plan.encoding.wrap_bits},
          {"inflation", answer.inflation},
          {"bytes",
           {{"packed", answer.bytes.packed},
            {"upload", answer.bytes.upload},
            {"secagg_up", answer.bytes.secagg_up},
            {"secagg_down", answer.bytes.secagg_down}}}};
}

} // namespace coppice
