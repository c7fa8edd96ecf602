// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// Noun and adjective phrases, and the lines that make one kind of document differ from another.
const std::string_view kGrammarDocuments = R"(
@object_thing
the {n}
the {n}
the {a} {n}
the {a} {n}
{an:a n}
{an:n}
{number} {a} {ns}
{number} {ns}
the {ns}
the {a} {ns}
{friend}'s {n}
{friend}'s {a} {n}
my {n}
my {a} {n}
another {n}
every {n}
the last {n}
both {ns}
some of the {ns}
the {n} {place}
the {n} that {friend} {rel.d}
the {n} I {rel_i} on {day}
the {a} {n} from {town}
{an:a n} for {role}
@object_mass
the {n}
the {a} {n}
some {n}
more {n}
the last of the {n}
{friend}'s {n}
enough {n} for {dur_days}
{a} {n}
@object_human
the {n}
the {a} {n}
{an:a n}
another {n}
{an:n}
@rel
lend me|hate|want|bring|break|choose|praise|recommend|find|leave behind|laugh at|never like
@rel_i
bought|found|borrowed|complained about|saw|forgot|promised {role}|wrote about|nearly lost
@dur_days
a week|the month|{friend}|two days|everyone|the weekend|{number} people
@adjp
{adj}
{adj}
{degree} {adj}
{degree} {adj}
{adj} and {adj}
{adj} but {adj}
as {adj} {simile}
not {adj} at all
too {adj} to {focus_verb}
{adj} again
{adj}, {phrase}
neither {adj} nor {adj}
less {adj} than {friend} said
@journal_open
Up at {time}.
{weather_c}.
{opener} {clause}.
{feel_c} today.
A {feel_day} day.
{I} {act} first thing.
Not much sleep. {concern_c}.
{clause}.
Another {today}, another {noun}.
@feel_day
long|short|strange|good|muddled|quiet|busy|slow|noisy|wet|golden|difficult|lucky
@day_close
Bed at {bedtime}.
{feel_c} now.
{plan}
{pastime_imp}, then bed.
Enough for one day.
{food_c} and an early night.
{reflection}
Must {task.b} tomorrow.
Lights out at {bedtime}; still {feel}.
@pastime_imp
Bath|Radio|Two pages|Tea|Hot milk|A long look out of the window|Crossword
@letter_open
Thank you for {gift}.
Your letter came on {day}, just as I {act.d}.
How are you, and how is the {kin_of}?
I am writing this {place}.
Sorry for the long silence; {concern}.
It is {time} and I should {chore.b}, but I want to tell you about the {noun}.
You asked about the {noun}: {focus} {happens}.
I hope {town} treats you well.
Here everyone is {feel}.
It feels like a year since you {act.d} with me.
@kin_of
family|new job|back|garden gate|house|dog|car|choir
@letter_close
Write soon and tell me about {idea}.
Do come on {day}; I will make {food}.
{friend} sends love.
Let me know whether you can {act.b} with me.
That is all from {town} for now.
I must stop, {role} is waiting.
Give my love to {friend}.
Think of me on {day}, when I have to {task.b}.
Burn this after reading, or at least the part about {role}.
@log_line
{act.ing}. {measure_c}.
{act.ing}, {adverb}.
{focus_c} {happens}.
{act.ing}.
{event}.
{measure} {place}.
{role}: {utter}.
{noun_c} {adj}.
{weather}.
break: {food}.
{measure}. {noun_c} {adj}, {act.ing}.
{friend} {act.3}.
{task.ing}, {dur}.
{number} {things}, {number} {adj}.
waiting for {role}.
{stuff}: {number} {unit}.
{concern}.
@log_note
Remarks: {event}.
Carry over: {task.b}.
{role_c} to {act.b} by {day}.
Still open: {task.b}, {act.b}.
Ask {friend} about the {noun}.
Mood: {feel}.
@todo_line
{task.b}
{act.b}
{act.b} {adverb}
{task.b} ({friend} too)
{chore.b}
buy {things}
{number} {things}
ring {role} about the {noun}
{food}
return {friend}'s {noun}
ask {role}: {ask}?
{act.b} before {day}
{act.b} ({dur})
decide about {things}
{stuff_bare}, {number} {unit}
@step
First {act.b}.
Then {act.b}, {adverb}.
{act.b} and {act.b}.
{act.b} until the {noun} is {adj}.
Allow {dur}.
Never {act.b} while the {noun} is {adj}.
Wait {dur} before you {act.b}.
If the {noun} is {adj}, {act.b} first.
You need {measure}.
{act.b} {place}, not {place}.
Do not {act.b} before {time}.
{friend} likes to {act.b} instead, and {he} may be right.
Check that {stuff} is {adj_mass}.
When the {noun} looks {adj}, stop.
Remember: {fact}.
It takes {number} tries.
Keep {a_thing} at hand.
Last of all, {act.b}.
@prompt
How do I {act.b}?
What should I do when the {noun} is {adj}?
Is it a good idea to {act.b} {adverb}?
How long does it take to {task.b}?
Why is my {noun} {degree} {adj}?
Tell me about {things}.
Can a beginner {act.b}?
What do you do {place}?
My {noun} is {adj} and {role} is coming on {day}. What now?
Explain to {friend} how to {act.b}.
Which is better: to {act.b} or to {act.b}?
How many {things} do I need?
What was your worst day {place}?
Write a short note to {role} about the {noun}.
@answer_open
In my experience you {act.b} first.
That depends on the {noun}.
Good question; {friend} would {act.b}.
Often asked {place}, and rightly.
I would {act.b} before anything else.
Do not worry, {fact}.
{number_c} {unit} is about right.
It takes {dur}, if nothing goes wrong.
Start {place}.
When mine was {adj}, {friend} told me to {act.b}.
Ask {role}, but I would {act.b}.
@chat_line
{utter}
{utter}
{ask}?
{answer}
{answer}
{clause}
{clause}
{phrase}
{event}
{feel}
{concern}
{measure} already
at {time} then
{role} says {worry}
on my way, {dur}
{food} later?
{plan}
no {mass_noun} left
guess what, {event}
{worry}
@essay_open
I have been thinking about {idea}.
People ask why I {act.b}.
My {kin} believed that {fact}.
For years I thought that {worry}.
What is {a_thing} for?
There are two ways to {act.b}.
Everyone {place} has a view on {idea}.
@title
On {idea}
{things_c} and {idea}
How to {task.b}
A {feel_day} {today}
{noun_c}, again
About {things}
What {friend} said
{place_c}
Notes on {act.g}
)";

} // namespace coppice::people
