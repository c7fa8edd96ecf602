// SPDX-License-Identifier: Apache-2.0
#include "sim/voice.h"

#include <algorithm>
#include <cctype>
#include <numeric>

#include "base/check.h"
#include "base/text.h"
#include "sim/inflect.h"

namespace coppice::people {
namespace {

constexpr int kMaxDepth = 9; // nested slots; deeper, only plain clauses are chosen
constexpr int kDaysInYear = 365;
constexpr int kEvening = 21 * 60;   // minutes after midnight
constexpr int kSubjectPercent = 62; // of the topics; the hobby and the home share the rest
constexpr int kHobbyPercent = 20;
constexpr int kUsedPercent = 88;      // of a shared list are in one person's use
constexpr int kGeneralPercent = 50;   // of truths and worries are made, not the subject's own
constexpr int kFavouritePercent = 25; // of the draws from a list favour what the person likes

std::uint64_t hash_of(std::string_view text) { // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::string capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

bool is_particle(std::string_view word) {
  static constexpr std::string_view kParticles =
      " up down off out away back in on over together aloud along through ";
  return kParticles.find(std::string(" ").append(word).append(" ")) != std::string_view::npos;
}

// "strap down" + "it" = "strap it down", but "look for it".
std::string with_object(const std::string& verb, const std::string& object, bool pronoun) {
  const std::size_t space = verb.rfind(' ');
  if (space != std::string::npos && pronoun && is_particle(verb.substr(space + 1))) {
    return verb.substr(0, space) + " " + object + verb.substr(space);
  }
  return verb + " " + object;
}

} // namespace

Voice::Voice(const Person& person, const RandomKey& key)
    : person_(person),
      lexicon_(&subject_lexicons()[person.subject_index]),
      random_(key),
      introduced_(person.friends.size()) {
  day_ = static_cast<int>(below(kDaysInYear));
  new_document(person.habits.past_tense);
}

void Voice::new_document(bool past_tense) {
  past_ = past_tense;
  std::fill(introduced_.begin(), introduced_.end(), false);
  new_day();
  new_topic();
}

void Voice::new_day() {
  day_ = (day_ + 1 + static_cast<int>(below(6))) % kDaysInYear;
  minutes_ = 270 + static_cast<int>(below(240));
}

void Voice::new_topic() {
  const auto ticket = static_cast<int>(below(100));
  lexicon_ = ticket < kSubjectPercent                   ? &subject_lexicons()[person_.subject_index]
             : ticket < kSubjectPercent + kHobbyPercent ? &subject_lexicons()[person_.hobby_index]
                                                        : &home_lexicon();
  focus_group_ = &any_countable();
  focus_noun_ = pick(key("noun", *focus_group_), focus_group_->nouns, 100);
  focus_fresh_ = false;
  focus_female_ = chance(50);
  last_friend_ = nullptr;
}

// Each person ranks every list in an own order, never uses its tail, and often takes the better of
// two draws: favourites recur, as in real writing, but what was just used does not.
const std::string& Voice::pick(std::string_view key, const Words& words, int share_percent) {
  auto found = preferences_.find(key);
  if (found == preferences_.end()) {
    Preference fresh;
    fresh.order.resize(words.size());
    std::iota(fresh.order.begin(), fresh.order.end(), 0U);
    KeyedRandom taste(
        {.experiment = person_.word_seed, .client = hash_of(key), .purpose = RandomPurpose::kText});
    taste.shuffle(std::span(fresh.order));
    found = preferences_.emplace(std::string(key), std::move(fresh)).first;
  }
  Preference& preference = found->second;
  const std::size_t usable = words.size() < 8
                                 ? words.size()
                                 : words.size() * static_cast<std::size_t>(share_percent) / 100;
  const std::size_t memory = usable / 3;
  for (;;) {
    std::size_t rank = below(usable);
    if (chance(kFavouritePercent)) rank = std::min<std::size_t>(rank, below(usable));
    const std::uint32_t choice = preference.order[rank];
    auto& recent = preference.recent;
    if (std::find(recent.begin(), recent.end(), choice) != recent.end()) continue;
    recent.push_back(choice);
    if (recent.size() > memory) recent.erase(recent.begin());
    return words[choice];
  }
}

const std::string& Voice::from_list(std::string_view name) {
  const auto found = shared_lists().find(name);
  COPPICE_CHECK(found != shared_lists().end() && !found->second.empty());
  return pick(name, found->second, kUsedPercent);
}

// Lists of different subjects are ranked apart.
std::string Voice::key(std::string_view kind) const { return cat(lexicon_->name, ":", kind); }

std::string Voice::key(std::string_view kind, const WordGroup& group) const {
  return cat(kind, ":", lexicon_->name, ":", group.nouns.front());
}

std::string Voice::expand(std::string_view text) {
  ++depth_;
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const char closing = text[i] == '{' ? '}' : text[i] == '<' ? '>' : '\0';
    if (closing == '\0') {
      out += text[i] == '~' ? ' ' : text[i];
      ++i;
      at_start_ = false;
      continue;
    }
    const std::size_t end = text.find(closing, i);
    COPPICE_CHECK(end != std::string_view::npos);
    const std::string_view inside = text.substr(i + 1, end - i - 1);
    out += closing == '}' ? slot(inside) : verb(inside);
    i = end + 1;
    if (out.empty() && at_start_ && i < text.size() && text[i] == ' ') ++i; // a dropped "I"
    at_start_ = false;
  }
  --depth_;
  return out;
}

std::string Voice::verb(std::string_view markup) {
  if (markup.starts_with("1 ")) return inflect(std::string(markup.substr(2)), "1");
  if (markup.starts_with("p ")) return inflect(std::string(markup.substr(2)), "p");
  return inflect(std::string(markup), "3");
}

std::string Voice::inflect(const std::string& phrase, std::string_view form) const {
  if (form == "b") return phrase;
  if (form == "g" || form == "ing") return inflect_verb(phrase, VerbForm::kGerund);
  if (form == "d") return inflect_verb(phrase, VerbForm::kPast);
  if (form == "1") return inflect_verb(phrase, past_ ? VerbForm::kPast : VerbForm::kFirst);
  if (form == "p") return inflect_verb(phrase, past_ ? VerbForm::kPastPlural : VerbForm::kPlural);
  return inflect_verb(phrase, past_ ? VerbForm::kPast : VerbForm::kThird);
}

std::string Voice::slot(std::string_view name) {
  if (name.ends_with("_c")) return capitalized(slot(name.substr(0, name.size() - 2)));
  const std::size_t dot = name.find('.');
  const std::string_view stem = name.substr(0, dot);
  const std::string_view form = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  if (stem == "act" || stem == "actf") return act(form.empty() ? "1" : form, stem == "actf");
  if (stem == "task") {
    const std::string task = expand(pick(key("task"), lexicon_->tasks, 100));
    return inflect(task, form.empty() ? "b" : form);
  }
  std::string out;
  if (built_in_person(stem, out) || built_in_thing(stem, out) || built_in_number(stem, out)) {
    return out;
  }
  const bool plain = depth_ > kMaxDepth && stem.starts_with("clause");
  if (plain) return "I " + act("1", false);
  const bool start = at_start_;
  const std::string& entry = from_list(stem);
  at_start_ = start;
  const std::string words = expand(entry);
  return form.empty() ? words : inflect(words, form);
}

bool Voice::built_in_person(std::string_view name, std::string& out) {
  const Habits& habits = person_.habits;
  if (name == "I") {
    const bool drop = at_start_ && past_ && habits.drops_subject && chance(80);
    out = drop ? "" : "I";
  } else if (name == "I0") {
    out = "I";
  } else if (name == "friend") {
    out = name_friend();
  } else if (name == "he" || name == "him") {
    const bool female = last_friend_ != nullptr && last_friend_->female;
    out = last_friend_ == nullptr ? name_friend()
          : name == "he"          ? (female ? "she" : "he")
                                  : (female ? "her" : "him");
  } else if (name == "role") {
    out = "the " + pick(key("role"), lexicon_->roles, 100);
  } else if (name == "proper") {
    out = pick(key("proper"), lexicon_->names, 100);
  } else if (name == "town") {
    out = chance(40) ? person_.town : from_list("town");
  } else if (name == "phrase") {
    out = pick("favourite", habits.phrases, 100);
  } else if (name == "concern") {
    out = concern();
  } else if (name == "lq" || name == "rq") {
    out = habits.double_quotes ? "\"" : "'";
  } else {
    return false;
  }
  return true;
}

bool Voice::built_in_thing(std::string_view name, std::string& out) {
  const WordGroup* group = object_group_;
  if (name == "n" || name == "ns" || name == "a" || name == "an:n" || name == "an:a n") {
    COPPICE_CHECK(group != nullptr);
    const std::string adjective =
        name == "a" || name == "an:a n" ? pick(key("adj", *group), group->adjectives, 100) : "";
    if (name == "n") out = object_noun_;
    if (name == "ns") out = plural_of(object_noun_);
    if (name == "a") out = adjective;
    if (name == "an:n") out = with_article(object_noun_);
    if (name == "an:a n") out = with_article(adjective + " " + object_noun_);
    return true;
  }
  if (name == "focus") {
    out = focus_reference();
  } else if (name == "noun") {
    out = focus_noun_;
  } else if (name == "happens") {
    out = inflect(pick(key("does", *focus_group_), focus_group_->predicates, 100), "3");
  } else if (name == "adj") {
    out = pick(key("adj", *focus_group_), focus_group_->adjectives, 100);
  } else if (name == "focus_verb") {
    out = pick(key("verb", *focus_group_), focus_group_->verbs, 100);
  } else if (name == "a_thing" || name == "things") {
    const WordGroup& other = any_countable();
    const std::string noun = pick(key("noun", other), other.nouns, 100);
    const std::string adjective =
        chance(55) ? pick(key("adj", other), other.adjectives, 100) + " " : "";
    out = name == "things" ? adjective + plural_of(noun) : with_article(adjective + noun);
    focus_fresh_ = false;
  } else if (name == "stuff" || name == "stuff_bare" || name == "mass_noun") {
    mass_group_ = &group_of(NounKind::kMass);
    out = pick(key("noun", *mass_group_), mass_group_->nouns, 100);
    if (name == "stuff") out = "the " + out;
    focus_fresh_ = false;
  } else if (name == "happens_stuff" || name == "adj_mass") {
    const bool happens = name == "happens_stuff";
    out = happens ? inflect(pick(key("does", *mass_group_), mass_group_->predicates, 100), "3")
                  : pick(key("adj", *mass_group_), mass_group_->adjectives, 100);
  } else if (name == "place") {
    out = pick(key("place"), lexicon_->places, 100);
  } else if (name == "event" || name == "fact" || name == "worry") {
    const Words& words = name == "event"  ? lexicon_->events
                         : name == "fact" ? lexicon_->facts
                                          : lexicon_->worries;
    const bool general = name != "event" && chance(kGeneralPercent);
    out = expand(general ? from_list(name == "fact" ? "saying" : "fear")
                         : pick(key(name), words, 100));
    focus_fresh_ = false;
  } else {
    return false;
  }
  return true;
}

bool Voice::built_in_number(std::string_view name, std::string& out) {
  if (name == "number") {
    out = number(2 + static_cast<int>(below(chance(70) ? 11 : 60)));
  } else if (name == "count") {
    out = number(3 + static_cast<int>(below(97)));
  } else if (name == "unit") {
    out = pick(key("unit"), lexicon_->units, 100);
  } else if (name == "measure") {
    out = number(2 + static_cast<int>(below(chance(60) ? 30 : 300))) + " " +
          pick(key("unit"), lexicon_->units, 100);
  } else if (name == "time") {
    out = clock();
  } else if (name == "dur") {
    const auto style = below(4);
    const int n = 2 + static_cast<int>(below(9));
    out = style == 0   ? number(n * 5) + " minutes"
          : style == 1 ? number(n) + " hours"
          : style == 2 ? number(n) + " days"
                       : (chance(50) ? "half an hour" : "an hour and a half");
  } else if (name == "bedtime") {
    minutes_ = std::max(minutes_, kEvening + static_cast<int>(below(60)));
    out = clock();
  } else if (name == "today") {
    out = shared_lists().at("weekday")[static_cast<std::size_t>(day_ % 7)];
  } else if (name == "day") {
    out = from_list("weekday");
  } else {
    return false;
  }
  return true;
}

std::string Voice::name_friend() {
  const std::size_t n = person_.friends.size();
  std::size_t at = std::min(below(n), below(n));
  if (&person_.friends[at] == last_friend_) at = (at + 1) % n; // no name twice in a row
  const Friend& chosen = person_.friends[at];
  last_friend_ = &chosen;
  const bool introduce = !introduced_[at] && chance(50);
  introduced_[at] = true;
  return introduce ? "my " + chosen.relation + " " + chosen.name : chosen.name;
}

const Friend& Voice::pick_friend() { return person_.friends[below(person_.friends.size())]; }

std::string Voice::focus_reference() {
  const bool human = focus_group_->kind == NounKind::kHuman;
  if (focus_fresh_ && chance(65)) return human ? (focus_female_ ? "she" : "he") : "it";
  focus_fresh_ = true;
  if (chance(75)) return "the " + focus_noun_;
  return "the " + pick(key("adj", *focus_group_), focus_group_->adjectives, 100) + " " +
         focus_noun_;
}

const WordGroup& Voice::group_of(NounKind kind) {
  const std::size_t n = lexicon_->groups.size();
  const std::size_t from = below(n);
  for (std::size_t i = 0; i < n; ++i) {
    const WordGroup& group = lexicon_->groups[(from + i) % n];
    if (group.kind == kind) return group;
  }
  return lexicon_->groups.front();
}

const WordGroup& Voice::any_countable() {
  for (;;) {
    const WordGroup& group = lexicon_->groups[below(lexicon_->groups.size())];
    if (group.kind != NounKind::kMass) return group;
  }
}

std::string Voice::object(const WordGroup& group, const std::string& noun) {
  const WordGroup* outer_group = object_group_;
  const std::string outer_noun = object_noun_;
  object_group_ = &group;
  object_noun_ = noun;
  const std::string phrase = expand(from_list(group.kind == NounKind::kMass    ? "object_mass"
                                              : group.kind == NounKind::kHuman ? "object_human"
                                                                               : "object_thing"));
  object_group_ = outer_group;
  object_noun_ = outer_noun;
  return phrase;
}

std::string Voice::act(std::string_view form, bool on_focus) {
  at_start_ = false;
  if (!on_focus && chance(12)) return slot("task." + std::string(form));
  const bool same_group = on_focus || chance(40);
  const WordGroup& group =
      same_group ? *focus_group_ : lexicon_->groups[below(lexicon_->groups.size())];
  const std::string verb_words = pick(key("verb", group), group.verbs, 100);
  std::string target;
  bool pronoun = false;
  if (on_focus) {
    pronoun = focus_fresh_ && chance(65);
    const bool human = group.kind == NounKind::kHuman;
    target = pronoun ? (human ? (focus_female_ ? "her" : "him") : "it") : "the " + focus_noun_;
    focus_fresh_ = true;
  } else {
    const std::string noun = pick(key("noun", group), group.nouns, 100);
    target = object(group, noun);
    focus_fresh_ = noun == focus_noun_;
  }
  return inflect(with_object(verb_words, target, pronoun), form);
}

std::string Voice::concern() {
  const std::string entry = pick("concern-own", person_.habits.concerns, 100);
  const std::size_t first = entry.find(';');
  Words predicates;
  for (std::size_t at = first; at != std::string::npos;) {
    const std::size_t next = entry.find(';', at + 1);
    predicates.push_back(entry.substr(at + 2, next == std::string::npos ? next : next - at - 2));
    at = next;
  }
  focus_fresh_ = false;
  return entry.substr(0, first) + " " + inflect(pick("concern:" + entry, predicates, 100), "3");
}

std::string Voice::raw_sentence(std::string_view list) {
  depth_ = 0;
  at_start_ = true;
  const std::string& entry = from_list(list);
  at_start_ = true;
  return expand(entry);
}

std::string Voice::finish(std::string raw) {
  if (raw.empty()) return raw;
  const char last = raw.back();
  const bool quoted = last == '\'' || last == '"';
  if (!quoted && last != '.' && last != '?' && last != '!') raw += '.';
  if (raw.back() == '.' && chance(person_.habits.exclamations)) raw.back() = '!';
  if (raw.back() == '.' && chance(person_.habits.ellipses)) raw += "..";
  const std::size_t first = raw[0] == '\'' || raw[0] == '"' ? 1 : 0;
  return raw.substr(0, first) + capitalized(raw.substr(first));
}

std::string Voice::sentence(std::string_view list) { return polish(finish(raw_sentence(list))); }

std::string Voice::line(std::string_view list) { return polish(raw_sentence(list)); }

std::string Voice::paragraph(std::string_view first, std::string_view rest, std::size_t sentences) {
  const Habits& habits = person_.habits;
  std::string text;
  for (std::size_t i = 0; i < sentences; ++i) {
    std::string raw = raw_sentence(i == 0 ? first : rest);
    const bool plain = std::islower(static_cast<unsigned char>(raw[0])) != 0 || raw[0] == 'I';
    if (plain && chance(habits.long_sentences) && raw.ends_with('.') &&
        raw.find('.') + 1 == raw.size()) {
      raw.pop_back();
      raw += expand("{tail}") + ".";
    }
    const bool lower = std::islower(static_cast<unsigned char>(raw[0])) != 0;
    if (text.ends_with('.') && !text.ends_with("..") && lower && chance(habits.semicolons)) {
      text.back() = ';';
      raw = finish(std::move(raw));
      raw[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(raw[0])));
    } else {
      raw = finish(std::move(raw));
    }
    text += (text.empty() ? "" : " ") + raw;
    if (chance(habits.asides)) text += " " + finish(slot("phrase"));
  }
  return polish(std::move(text));
}

} // namespace coppice::people
