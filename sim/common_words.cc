// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// Words of daily life. Concerns: "noun phrase; predicate; predicate; ..." (base-form verbs).
const std::string_view kCommonWords = R"(
@female
rosa|edith|nadia|maud|ingrid|priya|cora|esther|wanda|leila|hazel|bronwyn|yuki|tamsin|greta|odile|
  zara|fern|mirela|joan|sadie|imogen|lucia|ruth|annika|petra|salma|vera|clara|dorothy|moira|elin
@male
tom|anselm|gareth|idris|walter|kofi|mateo|lars|hamish|silas|bruno|yusuf|dominic|piotr|felix|owen|
  rafael|ernest|callum|viktor|stefan|jonah|abel|marcus|arlo|desmond|emil|hugo|nils|quentin|teo|
  ravi
@relation_f
sister|aunt|neighbour|cousin|flatmate|mother-in-law|old school friend|daughter|niece|godmother
@relation_m
brother|uncle|neighbour|cousin|lodger|father-in-law|old friend|son|nephew|landlord
@town
Harrowby|Little Marsh|Penbrook|Ashgrove|Kettleford|Wyrebridge|Saltmere|Oldcastle|Thornby|Fenwick
  Green|Lowick|Marlpit|Stonehaugh|Brackenwell|Eastry|Dunmouth|Coldharbour|Westering|Pellham|
  Ravensey
@concern
the leak above the stairs; drip all night; get worse; stain the ceiling; keep me awake
my bad knee; ache; click on every step; swell up again; behave itself for once
the old dog; sleep by the radiator; steal a sausage; bark at the moon; need carrying upstairs
the van; refuse to start; fail its test; need two new tyres; smell of petrol
the neighbour's extension; creep higher; block the evening light; fill the street with dust
my savings; shrink; look a little healthier; go on the gas bill; last until spring, perhaps
the diet; last until teatime; go well; end with a slab of cheesecake; make me grumpy
the boiler; make a banging noise; go out overnight; lose pressure; cost three hundred to mend
the piano in the front room; need tuning; gather dust; take up half the floor; sound almost sweet
the evening class; start again; give me headaches; teach me something after all; get cancelled
the cat next door; dig up the pots; sit on my windowsill; bring in a mouse; vanish for a day
my phone; die by noon; crack across the corner; autocorrect everything; fall in the sink
the house move; drag on; fall through again; look possible; fill the hall with boxes
the allergy; come back with the pollen; clear up; ruin the weekend; make my eyes stream
the new baby upstairs; cry until two; smile at me on the landing; sleep through, for once
my chess by post; reach the endgame; take a bad turn; surprise me; wait for a stamp
the insurance claim; go round in circles; need another form; get lost in the system
my half marathon; come closer; look like a mistake; give me a purpose; hurt my feet
the loft; need clearing; hide my old letters; let in a wasp; smell of mice
grandad's clock; stop at ten past four; chime at random; lose six minutes a day; tick like new
the bicycle; pick up a puncture; squeak at the pedal; get stolen and found; fly down the hill
my Spanish; improve a little; desert me in the shop; come back in a dream; make them laugh
the broken tooth; throb; need a crown; stop hurting; catch on everything
the village choir of frogs; begin at dusk; go quiet; keep the whole lane awake
the family reunion; come nearer; cause another quarrel; need a bigger room; fill me with dread
the tax return; sit on the table; wait for one receipt; accuse me; get sent at last
the mystery of the missing milk; deepen; remain unsolved; point to the new lodger
the damp in the back bedroom; spread; smell of mushrooms; retreat from the heater
the jigsaw; cover the dining table; miss one corner; grow an edge; go back in its box
my resolution to write every day; hold; wobble; fail on Sundays; do me good
@phrase
as my gran used to say|touch wood|for what it is worth|all things considered|so there we are|
  make of that what you will|which is typical|and that was that|no harm done|mind you|
  I could be wrong|not that anyone asked|more or less|live and learn|fair enough|heaven help us|
  onwards and upwards|it could be worse|who would have thought it|I ask you|famous last words|
  small mercies|time will tell|story of my life|you get the picture|end of|no pressure then|
  believe it or not|just my luck|bless them all|say no more|one step at a time|worth every penny|
  honest truth|same as ever|could not make it up|a good day's work|better than nothing|
  if you ask me|it all adds up|what a carry-on|strange but true|never again|job done|
  no change there
@greeting
Dear|My dear|Hello|Hi|Dearest|Hey|Good evening,|Greetings,|Well now,|Hullo|Morning|To my good
@sign_off
With love,|Yours as ever,|All the best,|Take care,|Warmly,|Your old friend,|Until soon,|Cheers,|
  Keep well,|In haste,|Best,|Love to everyone,|Yours in the rain,|Be good,|Thinking of you,
@feel
tired|pleased|restless|grateful|uneasy|proud|foolish|hopeful|stiff|cheerful|flat|lucky|hungry|
  irritable|calm|guilty|homesick|excited|worn out|oddly happy|sleepy|nervous|relieved|cross|
  lonely|
  steady|light-headed|determined|sentimental|embarrassed|wide awake|quietly content|fed up|curious
@verdict
a relief|a nuisance|a surprise|no great loss|a small miracle|a mistake|worth the trouble|hard to
  explain|good news|a shame|only fair|a first|a lesson|just as well|not ideal|encouraging|a joke|
  rather sad|progress of a kind|a bad sign|a mystery|very kind|beyond me|more than I deserve
@adverb
slowly|carefully|at once|in a hurry|without fuss|badly|by hand|in silence|twice|properly|on my own|
  as usual|reluctantly|with great care|in the end|gladly|for the second time|almost by accident|
  in one go|a bit clumsily|under protest|with cold hands|by torchlight|before breakfast|again|
  against my better judgement|step by step|in the wrong order|with the radio on|in stages|quickly
@opener
Today|This morning|In the afternoon|At first|Later|In the end|To my surprise|As usual|For once|
  After lunch|Towards evening|Somehow|On the way home|At last|Between showers|All the same|
  Luckily|
  Sadly|Oddly enough|Before the light went|In between|By mistake|Out of habit|At long last|
  Once again|Over the weekend|With a bit of luck|Late in the day|First thing
@link
Then|After that,|Next,|Meanwhile|Afterwards|Soon after,|A little later|In the meantime|
  By then|Straight afterwards|Half an hour on,|When that was done,|Before long|And then
@weather
the rain <come> down in sheets|it <be> bright and cold|the wind <get> up after noon|the fog <lift>
  by ten|thunder <roll> about in the distance|the frost <lie> until midday|
  the sun <break> through|
  it <drizzle> without stopping|a cold front <move> in|the evening <be> mild and still|
  the sky <go>
  the colour of slate|sleet <rattle> on the windows|the heat <be> hard to bear|the air <smell> of
  rain|a rainbow <stand> over {town}|the gutters <p overflow>|the first snow <fall>|
  mist <hang> over
  the fields|the wind <drop> at dusk|the clouds <p race> from the west|a gale <shake> the roof|
  the morning <begin> grey|the puddles <p freeze>|it <turn> muggy|the sunset <be> ridiculous
@food
lentil soup|cheese on toast|a cold pie|fried eggs|leftover curry|porridge|a bowl of noodles|
  baked potatoes|fish and chips|plum cake|a banana|tomato salad|stew|pancakes|beans from the tin|
  mushroom omelette|rice pudding|half a melon|sardines|chicken sandwiches|pea soup|
  ginger biscuits|
  apple crumble|spaghetti|a boiled egg|dumplings|rye bread and herring|cauliflower cheese|a pear
@chore
wash up|post a letter|go to the bank|hang out the laundry|ring the dentist|answer the door|feed the
  cat|mend a sock|buy stamps|peel potatoes|sort the recycling|light the stove|iron a shirt|return
  a book|pay the gas bill|sweep the stairs|fetch the shopping|change a bulb|make soup|
  dry my boots|
  walk round the block|look for my glasses|write a card|wait for the plumber|air the beds|
  find a pen
@pastime
read two chapters|do the crossword|listen to the radio|fall asleep in the chair|play cards|watch an
  old film|write to the council|go for a swim|sit on the step|talk about nothing|have a hot bath|
  look through photographs|hum to myself|drink too much tea|stare at the ceiling|go to bed early|
  walk down to the river|teach myself a song|plan the summer|draw up a list|call it a day|
  play dominoes|count my blessings|argue with the news|make marmalade
@idea
patience|luck|getting older|money|the way we do things|good tools|doing less|other people|mornings|
  work|weather|family|asking for help|being on time|silence|habit|mistakes|promises|small jobs|
  first impressions|growing up in {town}|distance|sleep|neighbours|how quickly a year goes
@simile
as new|as an old friend|as it looks|as I feared|as last year|as people say|as I remember|as a stone|
  as they promised|as the one before|as anything|as it ought to be
@saying
{a_thing} never pays for itself|{a_thing} is only as good as its owner|nobody can {act.b} {adverb}|
  you learn more from {a_thing} than from {role}|{things} come in threes|{act.g} is mostly {idea}|
  {role} is always right about {things}|there is no cure for {a_thing}|
  everyone in {town} can {act.b}|
  it takes {a_thing} to find {a_thing}|{idea} matters more than {things}|{act.g} keeps you young|
  the best time to {act.b} is {day}|a day without {act.g} is a day lost|
  {friend} was born to {act.b}|
  {number} {things} are plenty|you cannot {act.b} and {act.b} at once|{day} is no day for {act.g}
@fear
{role} will notice {a_thing}|we will never {act.b} by {day}|{friend} will want {a_thing} too|
  there are too many {things}|nobody will help me to {act.b}|I have forgotten to {act.b}|{friend}
  cannot {act.b} any more|{day} is too late to {act.b}|{role} expects {measure}|the {noun} will be
  {adj} again|I paid too much for {a_thing}|{a_thing} will be left over|I am not made for {act.g}
@degree
far too|quite|rather|really|a little|almost|surprisingly|still|nearly always|unusually|very|so|
  just a bit|hopelessly|perfectly|only slightly|suspiciously
@said
say|tell me|reckon|think|insist|claim|admit|swear|suspect|mention|believe|remind me|announce|repeat
@quoted
say|answer|shout|mutter|laugh|whisper|ask me to note|sigh|grumble|call out|snap|tell me
@attitude
calmly|from the doorway|over the phone|with a mouth full of toast|rather crossly|without looking up|
  with a grin|in that voice|twice|eventually|to nobody in particular|very quietly|half joking
@gift
a jar of chutney|an old photograph|half a cake|a bag of apples|a newspaper cutting|a woolly hat|
  bad news|a spare key|a bunch of sweet peas|some gossip|a second-hand coat|a box of screws|
  three lemons|a bottle of cider|a postcard from the coast|a long face|the wrong glasses|
  new gloves
@memory
when I was nine|in my first week|the year of the flood|before the children|when {friend} lived here|
  years ago in {town}|the last time {friend} visited|when I knew nothing|back when we had no car|
  the winter I broke my wrist|in the old house|when money was tight|the summer after school
@person_word
somebody|a stranger|an old man|a girl in a red coat|two students|a woman with a pram|the postman|
  my landlord|a lad on a bike|a couple from {town}|a policeman|the lady from the chemist
@month
January|February|March|April|May|June|July|August|September|October|November|December
@weekday
Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday
)";

} // namespace coppice::people
