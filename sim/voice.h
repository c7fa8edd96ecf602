// SPDX-License-Identifier: Apache-2.0
// A person's voice: expands the grammar of sim/lexicon.h into sentences in that person's manner.
//
// Templates hold {slots} and <verbs>. `<find>` is a verb in the third person, `<1 find>` in the
// first,
// `<p find>` in the plural, each in the document's tense. `{name}` expands a random entry of the
// list `name` or a built-in (focus, act, friend, time, ...); `{name_c}` capitalizes it;
// `{name.form}` inflects a verb phrase: 1, 3, p (document's tense), b (base), g (gerund), d (past),
// and ing (as g, for telegraphic notes). The voice remembers its topic: one noun in focus, referred
// back to by a pronoun, the person last named, and a clock that only moves forward.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "sim/lexicon.h"
#include "sim/people.h"

namespace coppice::people {

class Voice {
 public:
  Voice(const Person& person, const RandomKey& key);

  void new_document(bool past_tense); // forgets who was introduced; the day moves on
  void new_day();
  void new_topic(); // another noun in focus; nobody named

  std::string sentence(std::string_view list); // one entry of `list`, polished
  std::string line(std::string_view list);     // the same without capital and stop
  std::string paragraph(std::string_view first, std::string_view rest, std::size_t sentences);
  std::string date() const;
  std::string clock();
  const Friend& pick_friend();
  std::string polish(std::string text) const; // capitals, contractions, shorthand
  std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }
  bool chance(int percent) { return random_.below(100) < static_cast<std::uint64_t>(percent); }

 private:
  struct Preference {
    std::vector<std::uint32_t> order; // this person's ranking of the list
    std::vector<std::uint32_t> recent;
  };

  std::string expand(std::string_view text);
  std::string slot(std::string_view name);
  bool built_in_person(std::string_view name, std::string& out);
  bool built_in_thing(std::string_view name, std::string& out);
  bool built_in_number(std::string_view name, std::string& out);
  std::string verb(std::string_view markup);
  std::string inflect(const std::string& phrase, std::string_view form) const;
  std::string act(std::string_view form, bool on_focus);
  std::string object(const WordGroup& group, const std::string& noun);
  std::string focus_reference();
  std::string name_friend();
  std::string number(int value) const;
  std::string concern();
  const WordGroup& group_of(NounKind kind);
  const WordGroup& any_countable();
  std::string raw_sentence(std::string_view list);
  std::string finish(std::string raw); // capital, stop, exclamation
  const std::string& pick(std::string_view key, const Words& words, int share_percent);
  std::string key(std::string_view kind) const;
  std::string key(std::string_view kind, const WordGroup& group) const;
  const std::string& from_list(std::string_view name);

  const Person& person_;
  const SubjectLexicon* lexicon_; // the topic's: the subject's, the hobby's or the home's
  KeyedRandom random_;
  std::map<std::string, Preference, std::less<>> preferences_;

  bool past_ = true;
  bool at_start_ = false;
  int depth_ = 0;
  int day_ = 0; // of the year
  int minutes_ = 0;
  const WordGroup* focus_group_ = nullptr;
  const WordGroup* object_group_ = nullptr; // while its object phrase is being written
  const WordGroup* mass_group_ = nullptr;
  std::string focus_noun_;
  std::string object_noun_;
  bool focus_fresh_ = false; // the focus was the last thing named, so "it" is clear
  bool focus_female_ = false;
  const Friend* last_friend_ = nullptr;
  std::vector<bool> introduced_;
};

} // namespace coppice::people
