// SPDX-License-Identifier: Apache-2.0
// The kinds of document that people keep: journal, letter, log, how-to, list, chat, essay,
// questions.
#include <algorithm>
#include <array>
#include <cctype>
#include <functional>

#include "base/text.h"
#include "sim/people.h"
#include "sim/voice.h"

namespace coppice {
namespace {

using people::Voice;

constexpr std::uint64_t kTextRound = 1;           // the person's own making uses round 0
constexpr std::size_t kDocumentBytes = 7000;      // about
constexpr std::size_t kParagraphBytes = 1150;     // at most, but for a last sentence
constexpr std::size_t kShortParagraphBytes = 240; // at least; the last may be cut short by the end

using Sink = std::function<bool(std::string)>; // takes a paragraph; false when there is enough

std::string prose(Voice& voice, const Habits& habits, std::string_view first) {
  std::string text;
  const auto sentences =
      static_cast<std::size_t>(3 + voice.below(habits.long_sentences > 25 ? 5 : 8));
  text = voice.paragraph(first, "sentence", sentences);
  while (text.size() < kShortParagraphBytes) text += " " + voice.sentence("sentence");
  if (text.size() > kParagraphBytes) {
    const std::size_t stop = text.find_last_of(".!?", kParagraphBytes);
    if (stop != std::string::npos && stop > kShortParagraphBytes) text.resize(stop + 1);
  }
  return text;
}

void journal(Voice& voice, const Person& person, bool markdown, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_day();
    voice.new_topic();
    const std::string date = voice.polish(voice.date());
    std::string text = markdown ? "## " + date + "\n" : date + (voice.chance(50) ? "\n" : ". ");
    more = put(text + prose(voice, person.habits, "journal_open"));
    if (more && voice.chance(55)) {
      voice.new_topic();
      more = put(prose(voice, person.habits, "sentence") + " " + voice.sentence("day_close"));
    }
  }
}

void letter(Voice& voice, const Person& person, bool, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_day();
    voice.new_topic();
    const Habits& habits = person.habits;
    std::string text = voice.polish(habits.greeting + " " + voice.pick_friend().name + ",") + "\n";
    more = put(text + prose(voice, habits, "letter_open"));
    for (auto left = 1 + voice.below(4); more && left > 0; --left) {
      voice.new_topic();
      more = put(prose(voice, habits, "sentence"));
    }
    if (!more) return;
    voice.new_topic();
    more = put(prose(voice, habits, "sentence") + " " + voice.sentence("letter_close") + "\n" +
               voice.polish(habits.sign_off) + "\n" + voice.polish(person.signature));
  }
}

void work_log(Voice& voice, const Person&, bool markdown, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_day();
    voice.new_topic();
    std::string text = voice.polish(voice.date());
    if (markdown) text = "### " + text;
    for (auto lines = 5 + voice.below(7); lines > 0 || text.size() < kShortParagraphBytes;
         lines -= lines > 0) {
      const std::string time = voice.clock();
      text += "\n" + time + " " + voice.line("log_line");
      if (text.size() > kParagraphBytes) break;
    }
    more = put(text + "\n" + voice.sentence("log_note"));
  }
}

void how_to(Voice& voice, const Person& person, bool markdown, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_topic();
    std::string text = (markdown ? "# " : "") + voice.line("title") + "\n";
    text += voice.paragraph("answer_open", "step", 5 + voice.below(3));
    more = put(text);
    if (!more) return;
    text.clear();
    auto steps = 4 + voice.below(5);
    for (std::uint64_t i = 1; i <= steps || text.size() < kShortParagraphBytes; ++i) {
      text += (i > 1 ? "\n" : "") + std::to_string(i) + ". " + voice.sentence("step");
    }
    more = put(text);
    if (more && voice.chance(50)) more = put(prose(voice, person.habits, "reflection"));
  }
}

void task_list(Voice& voice, const Person&, bool markdown, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_day();
    voice.new_topic();
    std::string text =
        (markdown ? "**" : "") + voice.polish(voice.date()) + (markdown ? "**" : ":");
    for (auto lines = 7 + voice.below(8); lines > 0 || text.size() < kShortParagraphBytes;
         lines -= lines > 0) {
      text += (markdown ? "\n- [ ] " : "\n- ") + voice.line("todo_line");
    }
    more = put(text);
  }
}

void chat(Voice& voice, const Person& person, bool, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_day();
    voice.new_topic();
    const std::string other = voice.polish(voice.pick_friend().name);
    const std::string self = voice.polish(person.signature);
    std::string text = "[" + voice.polish(voice.date()) + ", " + voice.clock() + "]";
    bool mine = voice.chance(50);
    for (auto lines = 7 + voice.below(10); lines > 0 || text.size() < kShortParagraphBytes;
         lines -= lines > 0) {
      text += "\n" + (mine ? self : other) + ": " + voice.line("chat_line");
      if (voice.chance(70)) mine = !mine;
    }
    more = put(text);
  }
}

void essay(Voice& voice, const Person& person, bool markdown, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_topic();
    std::string text = (markdown ? "# " : "") + voice.line("title") + "\n";
    text += prose(voice, person.habits, "essay_open");
    more = put(text);
    for (auto left = 2 + voice.below(3); more && left > 0; --left) {
      voice.new_topic();
      more = put(prose(voice, person.habits, "reflection"));
    }
  }
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// One {"prompt", "response"} object a line.
void questions(Voice& voice, const Person&, bool, const Sink& put) {
  for (bool more = true; more;) {
    voice.new_topic();
    const std::string prompt = voice.sentence("prompt");
    std::string response = voice.paragraph("answer_open", "step", 2 + voice.below(2));
    response += " " + voice.paragraph("sentence", "sentence", 1 + voice.below(3));
    more = put("{\"prompt\": " + json_string(prompt) + ", \"response\": " + json_string(response) +
               "}");
  }
}

struct Kind {
  std::string_view name;
  void (*write)(Voice&, const Person&, bool markdown, const Sink&);
  std::uint64_t weight;
};

constexpr std::array<Kind, 7> kKinds = {{{"journal", journal, 6},
                                         {"letters", letter, 4},
                                         {"log", work_log, 2},
                                         {"how-to", how_to, 2},
                                         {"lists", task_list, 1},
                                         {"chat", chat, 2},
                                         {"essays", essay, 3}}};

// A person likes some kinds more than others: drawn per person from two tickets a document.
const Kind& pick_kind(const Person& person, Voice& voice) {
  std::uint64_t total = 0;
  std::array<std::uint64_t, kKinds.size()> weights{};
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    weights[i] = kKinds[i].weight * (1 + (person.word_seed >> (2 * i)) % 4);
    total += weights[i];
  }
  std::uint64_t ticket = voice.below(total);
  std::size_t at = 0;
  while (ticket >= weights[at]) ticket -= weights[at++];
  return kKinds[at];
}

} // namespace

std::vector<Document> write_documents(const Person& person, std::uint64_t seed,
                                      std::size_t target_bytes) {
  Voice voice(person, {.experiment = seed,
                       .round = kTextRound,
                       .client = person.index,
                       .purpose = RandomPurpose::kText});
  std::vector<Document> documents;
  std::size_t written = 0;
  while (written < target_bytes) {
    const std::size_t number = documents.size() + 1;
    const bool rows = person.answers_questions && number % 4 == 0;
    const Kind& kind = number == 1 ? kKinds[0] : pick_kind(person, voice);
    const bool markdown = !rows && person.writes_markdown && voice.chance(60);
    Document document;
    const std::string padded = (number < 10 ? "0" : "") + std::to_string(number);
    document.file_name = rows ? cat(padded, "-questions.jsonl")
                              : cat(padded, "-", kind.name, markdown ? ".md" : ".txt");
    voice.new_document(person.habits.past_tense);
    const auto put = [&](std::string paragraph) {
      const std::string_view separator = document.text.empty() ? "" : rows ? "\n" : "\n\n";
      document.text.append(separator).append(paragraph);
      return document.text.size() < kDocumentBytes && written + document.text.size() < target_bytes;
    };
    (rows ? questions : kind.write)(voice, person, markdown, put);
    document.text += "\n";
    written += document.text.size();
    documents.push_back(std::move(document));
  }
  return documents;
}

} // namespace coppice
