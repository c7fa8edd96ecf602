// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// Sentences and clauses. {slot} and <verb> are explained in voice.h.
const std::string_view kGrammarClauses = R"(
@sentence
{clause}.
{clause}.
{clause}{tail}.
{clause}{tail}.
{opener} {clause}.
{opener} {clause}{tail}.
{link} {clause}.
{focus} <be> {adjp}.
{focus} <be> {adjp}, {comment}.
{focus} {happens}.
{focus} {happens} {tail_word}.
{when}, {clause}.
{although}
{dialogue}
{dialogue}
{reported}
{event}.
{event}.
{event}{tail}.
{event}, {comment}.
{event}, so {I0} {act}.
{question}
{aside}
{reflection}
{reflection}
{memory_s}
{number_s}
{number_s}
{plan}
{concern_s}
{home}
{home}
{person_s}
{person_s}
@clause
{I} {act}
{I} {act}
{I} {act} and {act}
{I} {actf}
{I} {actf} {adverb}
{I} {act} {adverb}
{I} {act} {place}
{friend} {act.3}
{friend} {act.3} while I {act}
{friend} and I {act}
{role} <ask> me to {act.b}
{role} <want> to {act.b}
{focus} {happens}
{focus} <be> {adjp}
{I} <1 find> {a_thing} {place}
{I} <1 spend> {dur} {act.g}
{I} <1 need> {dur} to {act.b}
{I} <1 start> {act.g} at {time}
{I} <1 manage> to {actf.b}
{I} <1 decide> to {act.b}
{I} <1 try> to {actf.b}
{I} <1 help> {friend} to {act.b}
{I} <1 stop> {act.g} at {time}
{I} <1 be> {feel}
{event}
{weather}
it <take> {dur} to {act.b}
we <p have> {measure} by {time}
there <be> {a_thing} {place}
{I} {task.1}
{I} {task.1} {adverb}
{I} <1 forget> to {task.b}
nobody <want> to {act.b}
{stuff} {happens_stuff}
@tail
, and {clause2}
, but {clause2}
, so {clause2}
, {comment}
~{when}
~{when}
~because {reason}
~until {clause3}
~instead of {act.g}
, still {feel}
, just in case
~to {purpose}
@tail_word
{when}
{adverb}
because {reason}
more than {friend}'s
{place}
and nobody {minds}
@minds
<mind>|<notice>|<care>|<say> why|<bother> to look
@clause2
{I0} {act}
{focus} {happens}
{focus} <be> {adjp}
{friend} {act.3}
{weather}
{event}
nobody <say> a word
I <1 be> {feel}
it <be> {verdict}
{he} <be> {feel}
we <p call> it a day
I {pastime.1}
it <cost> {money}
that <make> {friend} laugh
{role} never <turn> up
@clause3
{time}
{friend} <arrive>
the light <go>
{role} <ring>
my hands <p go> numb
it <look> right
{weather}
there <be> nothing left
@reason
{weather}
{focus} <be> {adjp}
{role} <be> late
{friend} <have> a cold
nobody else would
I <1 have> {number} {things} to {verb_only}
it <be> {day}
there <be> no {mass_noun}
I <1 feel> {feel}
{friend} <ask> nicely
@verb_only
deal with|get through before {time}|worry about|see to|finish
@purpose
save time|please {friend}|get it over with|be sure|impress {role}|keep warm|be ready by {time}|
  see what would happen|make room for {things}|avoid {role}
@comment
which <be> {verdict}
which <surprise> {friend}
which {role} would call {verdict}
and I <1 be> {feel} about it
and {friend} <laugh>
though {friend} <disagree>
or so {friend} <say>
{phrase}
not for the first time
and not before time
which <leave> me {feel}
@when
before {time}
after {act.g}
before {act.g}
while {friend} {act.3}
when {weather}
as soon as {role} <leave>
on {day}
by {time}
during lunch
before {friend} <wake>
while the kettle <boil>
between {time} and {time}
after {dur}
for {dur}
@although
Although {focus} <be> {adjp}, {clause2}.
{Whenever} {I0} {act}, {friend} <laugh>.
Even though {weather}, {clause}.
Since {role} <be> away, {clause}.
Instead of {act.g}, {I0} {act}.
Rather than {act.b}, {friend} {act.3}.
With {measure} to go, {clause2}.
Without {a_thing} it <be> {verdict}.
Apart from {things}, everything <go> well.
Thanks to {friend} {I0} {act} {adverb}.
@Whenever
Every time|Whenever|The moment
@dialogue
{lq}{utter_c}.{rq} {friend} <say> so {attitude}.
{lq}{utter_c},{rq} {friend} <say> {attitude}.
{lq}{utter_c},{rq} <say> {role}.
{friend} <look> at {focus} and <say>: {lq}{utter_c}.{rq}
{lq}{ask_c}?{rq} {role} <ask> me. {lq}{answer_c},{rq} {I0} <1 say>.
{lq}{ask_c}?{rq} {friend} <ask> {attitude}.
I <1 ask> {friend}: {lq}{ask_c}?{rq} {lq}{answer_c},{rq} {he} <say>.
{lq}{answer_c},{rq} <be> all {role} would say.
@utter
you should {act.b} before {day}
that {noun} is too {adj} for me
I would never {act.b} without {a_thing}
the {noun} looks {adj} today
next time I will {act.b}
leave the {noun} alone and {chore.b}
it is always the {noun}
{worry}
{fact}
you worry too much about {idea}
there are {number} {things} {place}
my {kin} used to {act.b} {adverb}
give me {dur} and I will {act.b}
nobody needs {number} {things}
I saw {a_thing} like it in {town}
{stuff_bare} will not wait
@ask
how long will it take to {act.b}
who wants to {act.b}
did you {act.b}
is that your {noun}
why is the {noun} so {adj}
where are the {things}
can you {act.b} by {time}
what happened to the {noun}
are you {feel}
shall we {chore.b}
have you eaten
@answer
not before {time}
ask {friend}
{number} at least
I thought you did
only when it is {adj}
it was {adj} when I got here
give me {dur}
no idea
probably
you tell me
after {day}, maybe
because of the {noun}
@kin
mother|father|grandfather|grandmother|first teacher|old boss|great-aunt
@reported
{friend} <say> the {noun} <be> {adjp}.
{friend} {said.3} that {worry}.
{role} {said.3} that {fact}.
According to {friend}, {fact}.
{friend} {said.3} that we <p need> {number} more {things}.
{role} <promise> to {act.b} by {day}.
{friend} <remind> me to {task.b}.
I <1 hear> from {friend} that {event}.
{role} <explain> how to {act.b}; I <1 nod>.
In {friend}'s opinion nobody should {act.b} {adverb}.
{role} <want> {measure} by {day}.
@question
Who can {act.b} {adverb}, really?
Why do I always {act.b} {adverb}?
Will {worryq}?
How many {things} does one person need?
What would {friend} say about the {noun}?
Is it {verdict} to {act.b} at my age?
Should I {act.b} or {act.b}?
Where did {friend} put the {noun}?
And {friend}? Still {feel}.
Whose {noun} is it, anyway?
Could I {task.b} before {day}?
@worryq
{friend} ever {act.b}
the {noun} last until {day}
it be {adj} by {day}
anyone notice the {noun}
{role} remember
@reflection
I keep thinking that {worry}.
I know that {fact}, but {clause2}.
My worry is that {worry}.
They say {fact}; I am not so sure.
It is easier to {act.b} than to {act.b}.
The trouble with {idea} is {act.g}.
{Idea} is like {act.g}: you learn it {adverb} or not at all.
I would rather {chore.b} than {act.b}.
Lately I think more about {idea} than about {things}.
There is something {adj} about {act.g} {place}.
If {worry}, I will {act.b} {adverb}.
Nothing teaches {idea} like {a_thing}.
Better {a_thing} than no {noun} at all.
What I like about {act.g} is the {quiet}.
{fact}. That much I have learned {place}.
You can {act.b} for years and still {act.b} {adverb}.
@Idea
Patience|Luck|Friendship|Work|Sleep|Money|Trust|Hope|Memory|Courage
@quiet
quiet|smell|company|rhythm|cold air|sense of order|waiting|surprise|stubbornness of it|light
@memory_s
{memory_c} I could not {act.b} at all.
{memory_c} {friend} showed me how to {act.b}.
I remember {act.g} {memory}.
{memory_c} we had {number} {things} and no {mass_noun}.
{friend} once {act.d} {place}.
It <remind> me of a day {memory}: {friend} {act.d} and I {act.d}.
I have not seen {a_thing} like that since {day}.
@number_s
We <p have> {measure} now, {number} more than on {day}.
{measure_c} in {dur}, {comment}.
{I} <1 count> {measure} {place}.
That <make> {measure} since {day}.
{number_c} {things}, {number} of them {adj}.
From {number} to {number} {unit} in {dur}.
It <cost> {money}, {comment}.
{I} <1 pay> {money} for {a_thing}.
Only {measure} left by {time}.
Start {time}, end {time}; {measure}.
The {noun} <need> {measure}, no more.
@money
{count} pounds|{count} pounds fifty|less than {count} pounds|about {count} pounds|nothing at all
@plan
Tomorrow I will {act.b} and {act.b}.
Tomorrow: {task.b}, then {act.b}.
On {day} {friend} and I are going to {task.b}.
If it is dry on {day}, I will {act.b}.
I must {task.b} before {day}.
Next week I want to {act.b} {adverb}.
{friend} will {task.b} on {day} if {he} can.
By {day} I hope to {act.b}.
Note to self: {task.b}.
I promised {role} to {act.b} by {day}.
Perhaps I should {act.b} less and {chore.b} more.
@concern_s
{concern_c}.
{concern_c} {when}.
{concern_c}, {comment}.
At home {concern}.
Meanwhile {concern}, so {I0} {chore.1}.
{friend} <ask> about it and I <1 admit> that {concern}.
{concern_c}; {friend} <say> I should {chore.b}.
@home
{I} {chore.1} and {chore.1}.
{I} {chore.1} before {time}.
{food_c} for supper, then {I0} {pastime.1}.
{I} <1 eat> {food} {place}.
{I} {pastime.1} and <1 think> about {idea}.
In the evening {I0} {pastime.1}.
{friend} <make> {food} and we <p talk> about {idea}.
{friend} <bring> {gift}.
{I} <1 have> {food} with {friend} at {time}.
{friend} <phone> at {time} about {idea}.
{weather_c}, so {I0} {pastime.1}.
{weather_c}.
{weather_c} all {dur_day}.
@dur_day
day|night|afternoon|morning|week
@person_s
{friend} {act.3} {adverb}; {he} <be> {feel} about it.
{friend} <come> by with {gift}, and {he} {act.3} too.
{role} <bring> {gift} and <ask> about the {noun}.
{friend} <be> {feel} today, so I {act} alone.
{person_word_c} <stop> to look at the {noun}.
{person_word_c} <ask> whether the {noun} {happens}.
{friend} <write> from {town}: {event}.
{role} {act.3} as if nobody <be> there.
I <1 show> {friend} how to {act.b}; {he} {act.3} better than I do.
{friend} and {role} do not speak after what happened {memory}.
I <1 meet> {role} {place}; we <p talk> about {idea}.
{friend} still <owe> me {a_thing}.
{friend} <turn> {count} on {day}, and I <1 have> only {gift} for {him}.
@aside
{phrase_c}.
{phrase_c}: {fact}.
Enough about the {noun}.
Anyway.
Back to the {noun}.
More about {things} another time.
So much for {idea}.
)";

} // namespace coppice::people
