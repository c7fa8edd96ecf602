// SPDX-License-Identifier: Apache-2.0
// `coppice privacy plan`: what an (epsilon, delta) takes of a fleet, before it is made.
#include <optional>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/privacy_report.h"
#include "cli/table.h"
#include "cli/work_folder.h"
#include "model/base_model.h"

namespace coppice {
namespace {

constexpr std::uint64_t kShippedParameters = 155'648; // of assets/'s base, rank 8, all modules

struct PlanOptions {
  PrivacyQuestion question;
  std::optional<std::uint64_t> parameters;
  std::optional<std::string> model;
  std::optional<std::uint32_t> rank;
  std::optional<std::string> targets;
  std::string adversary = "release";
  std::string server = "semi-malicious";
};

// What is trained, and what smaller there is.
struct TrainedParameters {
  std::uint64_t parameters = 0;
  std::string words;
  std::vector<SmallerAdapter> smaller;
};

std::uint64_t only_b(const AdapterSpec& spec) {
  std::uint64_t elements = 0;
  for (const AdapterTarget& target : spec.targets) elements += target.b_elements();
  return elements;
}

constexpr const char* kFfa = "only B trained (ffa)";

Result<AdapterSpec> spec_of(const BaseModel& base, std::uint32_t rank, const std::string& targets) {
  return base.make_spec(rank, static_cast<float>(2 * rank), LoraScaling::kStandard,
                        split(targets, ','));
}

Result<TrainedParameters> of_model(const fs::path& model, std::uint32_t rank,
                                   const std::string& targets) {
  const auto base = COPPICE_TRY(BaseModel::open(model));
  const AdapterSpec spec = COPPICE_TRY(spec_of(*base, rank, targets));
  TrainedParameters trained{
      .parameters = spec.parameters(),
      .words = cat("rank ", rank, " on ", targets, " of ", model.filename().string()),
      .smaller = {}};
  const auto offer = [&](SmallerAdapter smaller) {
    if (smaller.parameters < trained.parameters) trained.smaller.push_back(std::move(smaller));
  };
  for (std::uint32_t less = rank - 1; less > 0; --less) {
    const AdapterSpec smaller = COPPICE_TRY(spec_of(*base, less, targets));
    offer({"rank", cat("rank ", less), smaller.parameters()});
    offer({"rank and ffa", cat("rank ", less, ", ", kFfa), only_b(smaller), "ffa"});
  }
  for (const char* fewer : {"q_proj,k_proj,v_proj,o_proj", "q_proj,v_proj", "v_proj"}) {
    const AdapterSpec smaller = COPPICE_TRY(spec_of(*base, rank, fewer));
    const AdapterSpec least = COPPICE_TRY(spec_of(*base, 1, fewer));
    offer({"targets", cat("targets ", fewer), smaller.parameters()});
    offer({"all", cat("rank 1, targets ", fewer, ", ", kFfa), only_b(least), "rank and ffa"});
  }
  offer({"ffa", kFfa, only_b(spec)});
  return trained;
}

TrainedParameters of_number(std::uint64_t parameters, std::string words) {
  TrainedParameters trained{.parameters = parameters, .words = std::move(words), .smaller = {}};
  for (std::uint64_t less = parameters / 2, part = 2; less >= 8; less /= 2, part *= 2) {
    trained.smaller.push_back({"parameters",
                               cat(grouped(less), " parameters (1/", part,
                                   ": a smaller rank, fewer targets, or only B trained)"),
                               less,
                               {}});
  }
  return trained;
}

Result<TrainedParameters> trained_of(const PlanOptions& options) {
  if (options.parameters) {
    if (options.model || options.rank || options.targets) {
      return Error{ErrorCode::kInvalidArgument,
                   "--parameters stands in the place of --model, --rank and --targets; give one or "
                   "the others"};
    }
    return of_number(*options.parameters, "as --parameters says");
  }
  const std::uint32_t rank = options.rank.value_or(8);
  const std::string targets = options.targets.value_or("all-linear");
  if (options.model) return of_model(*options.model, rank, targets);
  const auto shipped = default_model();
  if (shipped.ok()) return of_model(*shipped, rank, targets);
  if (options.rank || options.targets) return shipped.error();
  return of_number(kShippedParameters, "rank 8 on all-linear of the base in assets/");
}

void print_taken(Console& console, const PlanOptions& options, const TrainedParameters& trained) {
  const PrivacyQuestion& question = options.question;
  console.print();
  console.print(cat("Taken: ", grouped(trained.parameters), " parameters (", trained.words, "),"));
  console.print(cat("  clip norm ", question.clip, ", corrupt ", question.graph.corrupt,
                    ", drop-out ", question.graph.dropout, ", server ", options.server,
                    ", adversary ", options.adversary, ","));
  std::string sampling = "each enrolled device drawn by itself";
  if (sampling_rate_of(question) == 1) sampling = "no amplification";
  if (question.adversary == Adversary::kAggregator) {
    sampling += ": the aggregator knows whom it asks";
  }
  console.print(cat("  sampling rate ", sampling_rate_of(question), " (", sampling,
                    "), uniform weights, masks and wrap at 2^-40"));
  if (question.delta * static_cast<double>(question.population) > 1 + 1e-9) {
    console.print(
        "  delta is above 1 / population: giving one device away whole would pass for it");
  }
}

Json plan_json(const PlanOptions& options, const TrainedParameters& trained,
               const PrivacyAnswer& answer, const std::vector<Alternative>& found) {
  const PrivacyQuestion& question = options.question;
  Json fields = answer_json(question, answer);
  fields["adversary"] = options.adversary;
  fields["noise"] = question.adversary == Adversary::kRelease ? "central" : "skellam";
  fields["population"] = question.population;
  fields["rounds"] = question.rounds;
  fields["delta"] = question.delta;
  fields["sampling_rate"] = sampling_rate_of(question);
  fields["adapter"] = trained.words;
  fields["clip_norm"] = question.clip;
  fields["corrupt"] = question.graph.corrupt;
  fields["dropout"] = question.graph.dropout;
  fields["server_model"] = options.server;
  fields["min_survivors"] = answer.plan.sum.min_survivors;
  fields["ffa_available"] = has_ffa();
  fields["alternatives"] = Json::array();
  for (const Alternative& other : found) {
    Json row = answer_json(other.question, other.answer);
    row["change"] = other.change;
    fields["alternatives"].push_back(std::move(row));
  }
  if (!answer.can_learn()) {
    fields["cohort_at_same_rate"] = cohort_at_same_rate(question, answer);
    fields["without_noise"] = without_noise(answer);
  }
  return fields;
}

Result<ExitCode> plan(Context& context, PlanOptions options) {
  const TrainedParameters trained = COPPICE_TRY(trained_of(options));
  PrivacyQuestion& question = options.question;
  question.parameters = trained.parameters;
  question.adversary =
      options.adversary == "aggregator" ? Adversary::kAggregator : Adversary::kRelease;
  question.graph.server =
      options.server == "semi-honest" ? ServerModel::kSemiHonest : ServerModel::kSemiMalicious;
  const PrivacyAnswer answer = COPPICE_TRY(answer_privacy(question));
  std::vector<Alternative> found;
  if (!answer.can_learn()) {
    found = COPPICE_TRY(feasible_alternatives(question, answer, trained.smaller));
  }
  Console& console = context.console;
  print_answer(console, question, answer);
  print_taken(console, options, trained);
  if (answer.can_learn()) {
    print_settings(console, question, answer);
  } else {
    print_alternatives(console, question, answer, found);
    console.print();
    console.print(without_noise(answer));
  }
  console.finish("coppice.privacy_plan.v1", plan_json(options, trained, answer, found));
  return ExitCode::kOk;
}

void add_adapter_choice(CommandOptions& command, PlanOptions& options) {
  command
      .add_option("-m,--model", options.model,
                  "Base model whose adapter is trained (default: the one in assets/)")
      .type_name("FILE");
  command.add_option("--rank", options.rank, "Rank of the adapter (default: 8)")
      .check(in_range(1U, 512U))
      .type_name("R");
  command
      .add_option("--targets", options.targets,
                  "Modules by PEFT's names, with commas between (default: all-linear)")
      .type_name("NAMES");
  command
      .add_option("--parameters", options.parameters,
                  "Parameters of a device's delta, in place of a model")
      .type_name("D");
}

void add_assumptions(CommandOptions& command, PlanOptions& options) {
  command.add_option("--clip", options.question.clip, "L2 bound of a device's delta")
      .check(in_range(1e-6, 1e9))
      .capture_default_str();
  command
      .add_option("--corrupt", options.question.graph.corrupt,
                  "Share of a round's devices that may work with the aggregator")
      .check(in_range(0.0, 0.9))
      .capture_default_str();
  command
      .add_option("--dropout", options.question.graph.dropout,
                  "Share of a round's devices that may leave it")
      .check(in_range(0.0, 0.9))
      .capture_default_str();
  command
      .add_option("--server", options.server,
                  "What the aggregator may do: follow the protocol, or also lie about survivors")
      .check(one_of({"semi-malicious", "semi-honest"}))
      .capture_default_str();
  command
      .add_option("--adversary", options.adversary,
                  "Whom the promise is against: whoever sees a release, or the aggregator too")
      .check(one_of({"release", "aggregator"}))
      .capture_default_str();
}

} // namespace

void add_privacy_plan_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<PlanOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "plan",
       .summary =
           "Noise, ring, masks and bytes that an (epsilon, delta) takes, and if it can learn",
       .example = "coppice privacy plan --population 1000000 --cohort 5000 --rounds 1000 "
                  "--epsilon 2 --delta 1e-6\n"
                  "coppice privacy plan --population 20000 --cohort 500 --rounds 200 --epsilon 4 "
                  "--delta 1e-5 -m base.gguf --rank 4 --adversary aggregator"},
      [options](Context& at) { return plan(at, *options); });
  PrivacyQuestion& question = options->question;
  command.add_option("--population", question.population, "Devices that the promise is for")
      .check(in_range(std::uint64_t{kMinMembers}, std::uint64_t{10'000'000'000}))
      .type_name("N")
      .required();
  command.add_option("--cohort", question.cohort, "Devices of one round, as expected")
      .check(in_range(kMinMembers, static_cast<std::uint32_t>(limits::kRosterMembers)))
      .type_name("N")
      .required();
  command.add_option("--rounds", question.rounds, "Rounds that the budget is for")
      .check(in_range(std::uint64_t{1}, std::uint64_t{10'000'000}))
      .type_name("T")
      .required();
  command.add_option("--epsilon", question.epsilon, "The budget")
      .check(in_range(1e-3, 1e3))
      .required();
  command.add_option("--delta", question.delta, "Below 1 / population")
      .check(in_range(1e-30, 0.1))
      .required();
  add_adapter_choice(command, *options);
  add_assumptions(command, *options);
}

} // namespace coppice
