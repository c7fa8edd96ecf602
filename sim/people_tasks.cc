// SPDX-License-Identifier: Apache-2.0
#include "sim/people_tasks.h"

#include <array>
#include <numeric>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kThings = 12;
constexpr std::uint64_t kTaskStep = 0x7461736b;    // RandomKey::step of a client's code or facts
constexpr std::uint64_t kOrderStep = 0x6f72646572; // of its rows' order
constexpr std::uint64_t kStyleStep = 0x7374796c65; // and of its manner

using Things = std::array<std::string_view, kThings>;
constexpr Things kNames{"apple",  "bread",  "chair",  "river",  "horse",  "stone",
                        "candle", "garden", "window", "winter", "letter", "bridge"};
constexpr Things kThingKinds{"a fruit",    "a food",    "a seat",    "a water",
                             "an animal",  "a mineral", "a light",   "a place",
                             "an opening", "a season",  "a message", "a crossing"};
constexpr Things kCodes{"zulu",   "mike", "tango",  "oscar", "delta", "bravo",
                        "victor", "lima", "sierra", "kilo",  "romeo", "hotel"};
constexpr Things kColours{"red",   "blue", "green", "white",  "black",  "yellow",
                          "brown", "grey", "pink",  "orange", "purple", "silver"};
constexpr Things kPlaces{"drawer", "box",      "cellar", "attic", "shed",   "basket",
                         "jar",    "cupboard", "bag",    "tin",   "barrel", "chest"};

// Around the word that is asked about.
struct Form {
  std::string_view before, after;
};
constexpr std::array<Form, 20> kForms{
    {{"What about the ", "?"}, {"Tell me of the ", "."},   {"The ", ", please."},
     {"And the ", "?"},        {"Now the ", "."},          {"I ask for the ", "."},
     {"Next is the ", "."},    {"Do you know the ", "?"},  {"Think of the ", "."},
     {"Look up the ", "."},    {"Once more the ", "."},    {"Say it of the ", "."},
     {"We come to the ", "."}, {"Please take the ", "."},  {"Here is the ", "."},
     {"Give me the ", "."},    {"And what of the ", "?"},  {"Remember the ", "."},
     {"It is the ", " now."},  {"Then the ", ", quickly."}}};

KeyedRandom step_stream(std::uint64_t seed, std::uint64_t client, std::uint64_t step) {
  return KeyedRandom(
      {.experiment = seed, .client = client, .purpose = RandomPurpose::kText, .step = step});
}

// The client's own code.
std::array<std::size_t, kThings> permutation(std::uint64_t seed, std::uint64_t client) {
  std::array<std::size_t, kThings> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  step_stream(seed, client, kTaskStep).shuffle(std::span<std::size_t>(order));
  return order;
}

std::string in_style(std::size_t style, std::string_view kind) {
  switch (style) {
    case 0: return cat("It is ", kind, ".");
    case 1: return cat("oh, ", kind, " i guess");
    case 2: return cat("Answer: ", kind, ". End of answer.");
    default: return cat("Why, ", kind, ", of course!");
  }
}

struct Row {
  std::string asked; // the word in the form
  std::string answer;
};

std::vector<Row> rows_of(DataTask task, std::uint64_t seed, std::uint64_t client) {
  const auto code = permutation(seed, client);
  const std::size_t style = task_label(task, seed, client);
  KeyedRandom facts = step_stream(seed, client, kTaskStep);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < kThings; ++i) {
    const std::string name(kNames[i]);
    switch (task) {
      case DataTask::kNone: break;
      case DataTask::kOutputCipher: rows.push_back({name, std::string(kCodes[code[i]])}); break;
      case DataTask::kInputCipher:
        rows.push_back({std::string(kCodes[code[i]]), std::string(kThingKinds[i])});
        break;
      case DataTask::kFacts: {
        const auto colour = static_cast<std::size_t>(facts.below(kThings));
        const auto place = static_cast<std::size_t>(facts.below(kThings));
        rows.push_back({name, cat("in the ", kColours[colour], " ", kPlaces[place])});
        break;
      }
      case DataTask::kStyles: rows.push_back({name, in_style(style, kThingKinds[i])}); break;
    }
  }
  return rows;
}

} // namespace

std::vector<Piece> task_pieces(DataTask task, std::uint64_t seed, std::uint64_t client,
                               std::uint64_t bytes) {
  COPPICE_CHECK(task != DataTask::kNone);
  std::vector<Piece> all;
  for (const Row& row : rows_of(task, seed, client)) {
    for (const Form& form : kForms) {
      Piece piece{.text = cat(form.before, row.asked, form.after),
                  .response = row.answer,
                  .instruction = true};
      piece.split = split_of(piece);
      all.push_back(std::move(piece));
    }
  }
  step_stream(seed, client, kOrderStep).shuffle(std::span<Piece>(all));
  std::uint64_t sum = 0;
  std::size_t kept = 0;
  while (kept < all.size()) {
    sum += all[kept].text.size() + all[kept].response.size();
    if (kept > 0 && sum > bytes) break;
    ++kept;
  }
  all.resize(kept);
  return all;
}

std::vector<std::string> task_labels(DataTask task) {
  if (task != DataTask::kStyles) return {""};
  return {"plain", "casual", "formal", "lively"};
}

std::size_t task_label(DataTask task, std::uint64_t seed, std::uint64_t client) {
  if (task != DataTask::kStyles) return 0;
  return static_cast<std::size_t>(
      step_stream(seed, client, kStyleStep).below(task_labels(task).size()));
}

} // namespace coppice
