// SPDX-License-Identifier: Apache-2.0
#include "sim/evaluation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "adapters/adapter_file.h"
#include "aggregator/version_zero.h"
#include "base/text.h"
#include "client/kept_rules.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxPublicBytes = std::size_t{64} << 20U;
constexpr std::uint64_t kSetOrder = 0x736574;        // RandomKey::step of who is in a set
constexpr std::uint64_t kClientOrder = 0x636c69656e; // and of who is evaluated one by one
constexpr std::size_t kMostLookedAt = 20'000;        // clients, for a set
constexpr std::size_t kDocumentsOfAPack = 64;        // scored at once, where engines pack

Millis stopped_clock() { return {}; } // budgets here are steps alone

// What a client's score is, as numbers that ranks can exchange; NaN: there is none.
constexpr std::size_t kClientNumbers = 8;

void put_score(const ClientScore& score, std::span<double> out) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  out[0] = static_cast<double>(score.train_bytes);
  out[1] = static_cast<double>(score.gate.served);
  out[2] = static_cast<double>(score.report.bytes);
  out[3] = score.report.base;
  out[4] = score.report.shared;
  out[5] = score.report.personal.value_or(none);
  out[6] = score.local.value_or(none);
  out[7] = score.centralized.value_or(none);
}

ClientScore score_of(std::uint64_t client, std::span<const double> numbers) {
  const auto number_or_none = [](double value) {
    return std::isnan(value) ? std::optional<double>{} : std::optional<double>{value};
  };
  ClientScore score{.client = client, .gate = {}, .report = {}, .local = {}, .centralized = {}};
  score.train_bytes = static_cast<std::uint64_t>(numbers[0]);
  score.gate.served = static_cast<Served>(static_cast<int>(numbers[1]));
  score.report.bytes = static_cast<std::uint64_t>(numbers[2]);
  score.report.base = numbers[3];
  score.report.shared = numbers[4];
  score.report.personal = number_or_none(numbers[5]);
  score.local = number_or_none(numbers[6]);
  score.centralized = number_or_none(numbers[7]);
  return score;
}

// The shared adapter as a client has it.
struct ReceivedAdapter {
  std::shared_ptr<const Adapter> adapter;
  Sha256 hash;
};
ReceivedAdapter received_by(std::uint64_t client, const std::shared_ptr<const Adapter>& release,
                            const SharedSubject& shared) {
  if (shared.kept == nullptr) return {release, shared.hash};
  auto own = release_as_used(release, shared.kept->counted(client));
  const Sha256 hash = own == release ? shared.hash : sha256(serialize_adapter(*own));
  return {std::move(own), hash};
}

// One for each client that has text to train on.
Result<std::vector<std::optional<Adapter>>> train_each(
    Engine& engine, const std::vector<ExampleSet>& examples,
    const std::function<Result<TrainRequest>(std::size_t)>& request) {
  std::vector<TrainMember> members;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].train.empty()) continue;
    members.push_back({&examples[i], COPPICE_TRY(request(i))});
    places.push_back(i);
  }
  std::vector<std::optional<Adapter>> trained(examples.size());
  auto outcomes = train_adapters(engine, std::move(members));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    trained[places[i]] = COPPICE_TRY(std::move(outcomes[i])).adapter;
  }
  return trained;
}

} // namespace

double ClientScore::served_bits_per_byte() const {
  switch (gate.served) {
    case Served::kBase: return report.base;
    case Served::kShared: return report.shared;
    case Served::kPersonal: return report.personal.value_or(report.shared);
  }
  return report.base;
}

// The first of a keyed shuffle of all clients, or of a keyed draw where there are very many.
std::vector<std::uint64_t> Evaluation::keyed_order(std::uint64_t step) const {
  KeyedRandom random(
      {.experiment = scenario_.seed, .purpose = RandomPurpose::kSimulation, .step = step});
  const std::uint64_t clients = data_.clients();
  std::vector<std::uint64_t> order;
  if (clients > kMostLookedAt) {
    std::vector<std::uint64_t> drawn;
    for (std::size_t i = 0; i < kMostLookedAt; ++i) drawn.push_back(random.below(clients));
    std::ranges::sort(drawn);
    drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
    order = std::move(drawn);
  } else {
    for (std::uint64_t i = 0; i < clients; ++i) order.push_back(i);
  }
  random.shuffle(std::span(order));
  return order;
}

Result<Evaluation::Set> Evaluation::draw_set(const Draw& draw) const {
  Set set{.name = draw.name, .documents = {}, .questions = {}};
  std::uint64_t bytes = 0;
  for (const std::uint64_t client : keyed_order(kSetOrder)) {
    if (bytes >= draw.bytes) break;
    if (data_.unseen(client) != draw.unseen) continue;
    std::vector<Piece> pieces = COPPICE_TRY(data_.pieces(client));
    // One piece in ten is for reports, and one for gates: two of each client make the set a mixture
    // of many.
    std::erase_if(pieces, [&draw](const Piece& piece) { return piece.split != draw.split; });
    pieces.resize(std::min<std::size_t>(2, pieces.size()));
    ExampleSet examples = tokenize_pieces(pieces, base_);
    for (TokenizedDocument& document :
         draw.split == Split::kGate ? examples.gate : examples.report) {
      bytes += document.bytes;
      set.documents.push_back(std::move(document));
    }
    if (draw.split == Split::kGate) continue; // settings are chosen by bits per byte alone
    for (const Piece& piece : pieces) {
      if (set.questions.size() >= scenario_.report.answers) break;
      if (auto question = question_of(piece, base_)) set.questions.push_back(std::move(*question));
    }
  }
  return set;
}

Result<std::unique_ptr<Evaluation>> Evaluation::make(const Scenario& scenario,
                                                     const fs::path& scenario_folder,
                                                     const BaseModel& base, const ClientData& data,
                                                     EngineTeam& team, Ranks& ranks) {
  std::unique_ptr<Evaluation> made(new Evaluation(scenario, base, data, team, ranks));
  const ReportSettings& report = scenario.report;
  made->sets_.push_back(
      COPPICE_TRY(made->draw_set({.name = "global", .bytes = report.global_bytes})));
  if (scenario.data.held_out > 0) {
    made->sets_.push_back(COPPICE_TRY(
        made->draw_set({.name = "unseen", .unseen = true, .bytes = report.global_bytes})));
  }
  made->sets_.push_back(COPPICE_TRY(
      made->draw_set({.name = "gate", .split = Split::kGate, .bytes = report.gate_bytes})));
  if (!scenario.report.public_text.empty()) {
    const fs::path path = scenario_folder / scenario.report.public_text;
    const Bytes raw = COPPICE_TRY(read_file(path, kMaxPublicBytes));
    Set set{.name = "public", .documents = {}, .questions = {}};
    std::uint64_t bytes = 0;
    for (const std::string& piece : cut_text(as_text(raw))) {
      if (bytes >= scenario.report.global_bytes) break;
      bytes += piece.size();
      set.documents.push_back(tokenize_text(base.tokenizer(), piece));
    }
    made->sets_.push_back(std::move(set));
  }
  std::erase_if(made->sets_, [](const Set& set) { return set.documents.empty(); });
  return made;
}

Result<std::vector<double>> Evaluation::share_out(
    std::size_t count, std::size_t width,
    const std::function<Result<void>(std::size_t, Engine&, std::span<double>)>& job) {
  const RankPlace place = ranks_.place();
  std::vector<double> numbers(count * width, 0.0);
  const auto done = team_.for_each(count, [&](std::size_t i, Engine& engine) -> Result<void> {
    if (i % place.size != place.rank) return {};
    return job(i, engine, std::span(numbers).subspan(i * width, width));
  });
  COPPICE_TRY(Result<void>(done));
  if (place.size == 1 || count == 0) return numbers;
  const ByteSpan mine(reinterpret_cast<const std::uint8_t*>(numbers.data()),
                      numbers.size() * sizeof(double));
  const auto all = COPPICE_TRY(ranks_.all_gather(mine));
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes& theirs = all.at(i % place.size);
    if (theirs.size() != mine.size()) {
      return Error{ErrorCode::kInternal, "ranks disagree on how much is evaluated"};
    }
    std::memcpy(&numbers[i * width], theirs.data() + i * width * sizeof(double),
                width * sizeof(double));
  }
  return numbers;
}

Result<SetScore> Evaluation::score_text(const Set& set, std::span<const AdapterUse> uses) {
  constexpr std::size_t kNumbers = 4;
  const std::size_t at_once = team_.packs() ? kDocumentsOfAPack : 1;
  const std::span<const TokenizedDocument> all(set.documents);
  const auto parts = COPPICE_TRY(share_out(
      (all.size() + at_once - 1) / at_once, kNumbers,
      [&](std::size_t i, Engine& engine, std::span<double> out) -> Result<void> {
        const auto some = all.subspan(i * at_once, std::min(at_once, all.size() - i * at_once));
        const TextScore part = COPPICE_TRY(score_documents(engine, uses, some));
        out[0] = part.score.nats;
        out[1] = static_cast<double>(part.score.tokens);
        out[2] = static_cast<double>(part.score.correct);
        out[3] = static_cast<double>(part.bytes);
        return {};
      }));
  TextScore total;
  for (std::size_t i = 0; i < parts.size(); i += kNumbers) {
    total.score += {.nats = parts[i],
                    .tokens = static_cast<std::uint64_t>(parts[i + 1]),
                    .correct = static_cast<std::uint64_t>(parts[i + 2])};
    total.bytes += static_cast<std::uint64_t>(parts[i + 3]);
  }
  const auto tokens = static_cast<double>(std::max<std::uint64_t>(1, total.score.tokens));
  return SetScore{.set = set.name,
                  .bits_per_byte = bits_per_byte(total.score, total.bytes),
                  .nats_per_token = total.score.nats / tokens,
                  .token_accuracy = static_cast<double>(total.score.correct) / tokens,
                  .tokens = total.score.tokens,
                  .bytes = total.bytes,
                  .answers = {}};
}

Result<AnswerScore> Evaluation::answer(const Set& set, std::span<const AdapterUse> uses) {
  constexpr std::size_t kNumbers = 5;
  const auto parts = COPPICE_TRY(share_out(
      set.questions.size(), kNumbers,
      [&](std::size_t i, Engine& engine, std::span<double> out) -> Result<void> {
        const AnswerScore part = COPPICE_TRY(score_answers(engine, uses, {&set.questions[i], 1}));
        out[0] = static_cast<double>(part.exact);
        out[1] = part.rouge_l;
        out[2] = static_cast<double>(part.choices);
        out[3] = static_cast<double>(part.chosen);
        out[4] = static_cast<double>(part.chosen_bytes);
        return {};
      }));
  AnswerScore total;
  for (std::size_t i = 0; i < parts.size(); i += kNumbers) {
    total += {.answers = 1,
              .exact = static_cast<std::uint64_t>(parts[i]),
              .rouge_l = parts[i + 1],
              .choices = static_cast<std::uint64_t>(parts[i + 2]),
              .chosen = static_cast<std::uint64_t>(parts[i + 3]),
              .chosen_bytes = static_cast<std::uint64_t>(parts[i + 4])};
  }
  return total;
}

Result<std::vector<SetScore>> Evaluation::score(const Adapter* adapter) {
  std::vector<AdapterUse> uses;
  if (adapter != nullptr) uses.push_back({adapter, 1.0F});
  std::vector<SetScore> scores;
  for (const Set& set : sets_) {
    scores.push_back(COPPICE_TRY(score_text(set, uses)));
    scores.back().answers = COPPICE_TRY(answer(set, uses));
  }
  return scores;
}

// Of a client's own text alone, for as many steps as the rounds had.
TrainRequest Evaluation::local_training(std::uint64_t client, const Adapter& shared,
                                        std::uint64_t rounds) const {
  Recipe recipe = scenario_.personal.recipe;
  recipe.max_steps = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, rounds * planned_steps(scenario_.fleet.training)));
  return {.recipe = recipe,
          .randomness = {.experiment = scenario_.seed,
                         .client = client,
                         .purpose = RandomPurpose::kBatchOrder},
          .frozen = {},
          .start = std::make_shared<const Adapter>(
              fresh_start(shared.shared_spec(), scenario_.fleet, scenario_.seed)),
          .now = stopped_clock,
          .on_step = {}};
}

Result<std::vector<ClientScore>> Evaluation::score_some(Engine& engine,
                                                        std::span<const std::uint64_t> clients,
                                                        const SharedSubject& shared) const {
  std::vector<ExampleSet> examples;
  std::vector<ReceivedAdapter> received;
  const auto release = std::make_shared<const Adapter>(shared.adapter);
  for (const std::uint64_t client : clients) {
    examples.push_back(tokenize_pieces(COPPICE_TRY(data_.pieces(client)), engine.base()));
    received.push_back(received_by(client, release, shared));
  }
  std::vector<std::optional<Adapter>> personal(clients.size()), local(clients.size());
  if (scenario_.report.personal) {
    personal = COPPICE_TRY(train_each(engine, examples, [&](std::size_t i) {
      return personal_training(*received[i].adapter, received[i].hash, scenario_.personal,
                               stopped_clock);
    }));
  }
  if (scenario_.report.local_only) {
    local = COPPICE_TRY(train_each(engine, examples, [&](std::size_t i) -> Result<TrainRequest> {
      return local_training(clients[i], shared.adapter, shared.rounds);
    }));
  }
  std::vector<ClientScore> scores;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ClientScore& made = scores.emplace_back(ClientScore{
        .client = clients[i], .gate = {}, .report = {}, .local = {}, .centralized = {}});
    for (const TokenizedDocument& document : examples[i].train) made.train_bytes += document.bytes;
    const Adapter* const own = personal[i] ? &*personal[i] : nullptr;
    const Candidates candidates{*received[i].adapter, own, scenario_.personal.method};
    made.gate = COPPICE_TRY(judge_adapters(engine, candidates, examples[i]));
    made.report = COPPICE_TRY(report_adapters(engine, candidates, examples[i]));
    const auto bits_with = [&](const Adapter& adapter) -> Result<double> {
      const AdapterUse use{&adapter, 1.0F};
      const TextScore scored = COPPICE_TRY(score_documents(engine, {&use, 1}, examples[i].report));
      return bits_per_byte(scored.score, scored.bytes);
    };
    if (local[i]) made.local = COPPICE_TRY(bits_with(*local[i]));
    if (shared.centralized != nullptr) {
      made.centralized = COPPICE_TRY(bits_with(*shared.centralized));
    }
  }
  return scores;
}

Result<std::vector<ClientScore>> Evaluation::score_clients(const SharedSubject& shared) {
  std::vector<std::uint64_t> clients;
  for (const std::uint64_t client : keyed_order(kClientOrder)) {
    const std::uint32_t wanted = scenario_.report.clients;
    if (wanted > 0 && clients.size() == wanted) break;
    const std::vector<Piece> pieces = COPPICE_TRY(data_.pieces(client));
    const auto has = [&](Split split) {
      return std::ranges::find(pieces, split, &Piece::split) != pieces.end();
    };
    if (has(Split::kReport) && has(Split::kGate)) clients.push_back(client);
  }
  std::ranges::sort(clients);
  const std::size_t at_once = team_.packs() ? scenario_.pack : 1;
  const std::span<const std::uint64_t> all(clients);
  const auto numbers = COPPICE_TRY(share_out(
      (all.size() + at_once - 1) / at_once, at_once * kClientNumbers,
      [&](std::size_t i, Engine& engine, std::span<double> out) -> Result<void> {
        const auto some = all.subspan(i * at_once, std::min(at_once, all.size() - i * at_once));
        const auto scores = COPPICE_TRY(score_some(engine, some, shared));
        for (std::size_t k = 0; k < scores.size(); ++k) {
          put_score(scores[k], out.subspan(k * kClientNumbers, kClientNumbers));
        }
        return {};
      }));
  std::vector<ClientScore> scores;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    scores.push_back(
        score_of(clients[i], std::span(numbers).subspan(i * kClientNumbers, kClientNumbers)));
  }
  return scores;
}

Result<Adapter> Evaluation::train_centralized(const Adapter& start, std::uint64_t tokens) {
  ExampleSet pooled;
  for (std::uint64_t client = 0; client < data_.clients(); ++client) {
    if (data_.unseen(client)) continue;
    ExampleSet examples = tokenize_pieces(COPPICE_TRY(data_.pieces(client)), base_);
    std::ranges::move(examples.train, std::back_inserter(pooled.train));
  }
  std::optional<Adapter> trained;
  COPPICE_TRY(team_.for_each(1, [&](std::size_t, Engine& engine) -> Result<void> {
    Recipe recipe = scenario_.fleet.training;
    recipe.max_steps = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(tokens / recipe.batch_tokens, 1, 1'000'000));
    TrainRequest request{
        .recipe = recipe,
        .randomness = {.experiment = scenario_.seed, .purpose = RandomPurpose::kBatchOrder},
        .frozen = {},
        .start = std::make_shared<const Adapter>(start),
        .now = stopped_clock,
        .on_step = {}};
    trained = COPPICE_TRY(train_adapter(engine, pooled, std::move(request))).adapter;
    return {};
  }));
  return std::move(*trained);
}

} // namespace coppice
