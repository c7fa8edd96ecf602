// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// The format is in lexicon.h.
const std::string_view kLexiconLand = R"(
@beekeeper *
g hive, brood box, super, crown board, roof, floor, entrance block, stand; open, lift, close,
  level, strap down, scrape, paint, repair; heavy, damp, crowded, weathered, draughty, sticky,
  quiet; creak in the wind, lean a little to the left, smell of warm wax, need a new coat of
  paint, hum all afternoon
g colony, swarm, nucleus, cast, queen; watch, feed, count, hive, move, inspect, lose, mark;
  calm, bad-tempered, prolific, hungry, young, strong, weak; hang from a low branch, settle by
  dusk, come through the cold, fly late into the evening, start robbing
g frame, smoker, hive tool, veil, glove, extractor, queen cage, bucket; clean, borrow, mend,
  lend out, look for, put away, replace; bent, smoky, borrowed, rusty, sticky, brand-new, missing;
  jam again, go out at the wrong moment, turn up in the van, cost too much
m honey, wax, propolis, syrup, pollen, nectar, fondant; strain, jar, taste, weigh, sell, store,
  warm up; dark, runny, thick, fragrant, pale, bitter, set; crystallize early, taste of lime
  blossom, stick to everything, run short
r bee inspector, swarm caller, farmer with the rape field, man from the association, novice
p at the out-apiary, in the honey shed, under the lime trees, by the orchard wall, along the
  heather, behind the chapel
u kilos, jars, frames of brood, queen cells, dead bees, supers
n Agatha, the Chapel hive, Old Number Nine, the Orchard pair, Beatrix, Hive Eleven
t make up the winter syrup | count the mites on the board | combine the two weak ones | order
  new foundation | label the jars | move {proper} to the heather | put mouse guards on | requeen
  {proper}
e a swarm <settle> in {friend}'s pear tree | the wasps <find> {proper} | {proper} <throw> out
  the last drones | I <1 get> stung on the wrist | {role} <ring> about bees in a chimney | the
  first bees <p carry> in willow pollen | {proper} <give> {measure} | rain <keep> the foragers in
f a strong colony forgives a late start | bees dislike wool and bananas | a queen is worth more
  than a good box | you never see a swarm at a convenient hour | mites do their worst when nobody
  is looking
w the wasps will come back | {proper} will starve before the ivy flowers | the queen has gone |
  the mites are winning | it is too cold to open anything
@gardener *
g rose, dahlia, clematis, foxglove, peony, hydrangea, fern; prune, plant out, tie in, dig up,
  water, stake, divide; leggy, late, blowsy, scented, tender, half-dead, stubborn; flower twice,
  sulk in the shade, climb over the fence, lose its leaves, catch the frost
g bean row, courgette, tomato plant, cabbage, leek bed, pumpkin, rhubarb crown; sow, thin out,
  weed, mulch, pick, cover, net; slug-eaten, ripe, woody, sweet, swollen, early, pale; bolt in the
  heat, ripen all at once, split after the rain, feed half the street
g spade, hoe, wheelbarrow, trowel, hosepipe, water butt, cold frame; sharpen, oil, find, empty,
  lend out, patch, drag out; blunt, leaky, muddy, frozen, handy, wobbly; leak at the join, vanish
  into the nettles, stand in the rain, freeze solid
m compost, leaf mould, manure, straw, bark, soil; turn, spread, sieve, fork in, barrow, order;
  crumbly, wet, black, sour, warm, sandy; steam in the cold air, dry to dust, stick to my boots,
  smell of autumn
r allotment secretary, woman from plot six, seed swapper, show judge, tree surgeon
p at the allotment, in the greenhouse, along the south wall, under the hedge, by the compost
  heap, in the far border
u barrowloads, trays, seedlings, slugs, runner beans, pots
n Boskoop, Crown Prince, Lady Farrow, the Bishop dahlias, Marrow Green, the Thursday bed
t sow the broad beans | lift the dahlias | wash the pots | edge the lawn | earth up the potatoes
  | take cuttings of {proper} | net the brassicas | move {proper}
e slugs <p eat> {measure} in one night | {proper} <come> through the frost | a fox <dig> under
  the fence | {role} <leave> a box of plants by the gate | blackfly <cover> the beans | a
  blackbird <nest> in the ivy | {proper} <win> a second prize | hail <flatten> the lettuces
f a garden is never finished | you plant a fig for someone else | weeds are only punctual
  flowers | rain on Friday is worth a week of hoses | nobody grows one courgette
w a late frost will take the lot | the box hedge has blight | {proper} will never flower again |
  the hosepipe ban is coming | the allotment rent will go up
@botanist *
g orchid, sedge, moss, liverwort, saxifrage, sundew, lichen, horsetail; identify, press,
  photograph, record, sketch, re-find, describe; rare, diminutive, hairy, inconspicuous, fertile,
  prostrate, glaucous; grow on bare rock, favour the wetter side, set seed early, hide under the
  heather, resemble its cousin
g specimen, quadrat, herbarium sheet, transect, hand lens, field notebook, sample bag; label,
  lay out, measure, file, lose, mount, recheck; damp, unlabelled, faded, fragile, misnamed,
  duplicate; dry slowly, need a second opinion, belong in the herbarium, raise an awkward question
g meadow, bog, scree, hollow, old quarry, hedge bank; survey, map, revisit, cross, fence off,
  compare; grazed, species-rich, trampled, waterlogged, sheltered, north-facing; flood in winter,
  change every year, hold more than I expected
m peat, pollen, sphagnum, bracken, seed, chalk; sample, sieve, weigh, dry, analyse, bag up;
  acid, fibrous, loose, ancient, shallow; hold water like a sponge, stain everything brown,
  preserve the record
r warden, county recorder, doctoral student, landowner, reviewer
p on the upper transect, in the herbarium, at the edge of the bog, below the crag, along the
  disused railway, in the field station
u stems, quadrats, flowering spikes, square metres, fruiting heads, seedlings
n Carex, Drosera, Dactylorhiza, the Fellside plot, Saxifraga, Quadrat Twelve
t key out {proper} | count the flowering spikes | write up the survey | check the loggers |
  relay the transect | answer the second reviewer | photograph the leaf margins | recalibrate the
  balance
e sheep <p break> into the exclosure | {role} <send> a puzzling photograph | {proper} <appear>
  in two new quadrats | the microscope lamp <fail> | a storm <take> the marker posts | I <1 count>
  {measure} before lunch | {proper} <turn> out to be a hybrid | the grant report <come> back with
  comments
f absence is harder to record than presence | the margin of a leaf settles most arguments | a
  good label outlives its author | every bog remembers its weather | hybrids ignore the textbook
w the drainage work will reach {proper} | the labels are mixed up | the grant will not be
  renewed | the dry spring has done real damage | {role} will ask about the missing quadrats
@shepherd
g ewe, ram, lamb, hogg, tup, orphan lamb; gather, shear, drench, feed, count, turn out, dose;
  lame, stubborn, thin, fleecy, broken-mouthed, lively; break through the wall, follow the quad
  bike, lamb overnight, go lame again, find the only gap
g gate, drystone wall, fank, hay rack, trough, quad bike, trailer; mend, shut, rebuild, hose
  down, shift, rehang; broken, icy, slack, mossy, overloaded; come off its hinge, freeze at the
  valve, collapse after the thaw, stick in the mud
g dog, whistle, crook, lantern, marking stick, bottle; call back, whistle up, train, trust,
  lose, carry; eager, muddy, tired, steady, chewed; run wide on the outbye, lie down by the stove,
  do half the work
m wool, hay, silage, feed, straw; roll, stack, cart, bale, sell, cover up; musty, coarse, sweet,
  wet, poor; fetch next to nothing, last until April, go mouldy at the bottom
r vet, auctioneer, fell walker, shearer, neighbour over the beck
p on the fell, in the lambing shed, at the mart, down in the intake, by the beck, up at the
  summer grazing
u ewes, bales, lambs, fleeces, miles, gimmer lambs
n Moss, Nell, the High Intake, Black Crag, Fly, the Saddle field
t dip the hoggs | gather the fell | walk the march wall | send the wethers to market | trim feet
  | teach {proper} to drive | bring the tups home | check {proper} at first light
e a ewe <drop> twins in the snow | {proper} <bring> back a stray | walkers <p leave> the gate
  open | {role} <give> a fair price | crows <p hang> around the shed | the beck <come> over the
  track | {proper} <lie> under drifts for two days | I <1 lose> one lamb and <1 save> another
f sheep look for ways to die | a good dog is half a wage | walls fall down in the night and
  never go up by themselves | you lamb when the weather is at its worst | nobody hurries a ram
w the snow will catch them high up | {proper} is getting too old for the fell | prices will drop
  again | foot rot is back | there is not hay enough
@sailor *
g mainsail, jib, spinnaker, halyard, sheet, winch, shroud, tiller; reef, hoist, trim, ease,
  replace, splice, grease; frayed, stiff, salt-stained, well-worn, torn, tight; flog in the gusts,
  jam at the masthead, hold through the night, chafe against the rail
g anchor, dinghy, bilge pump, chart, compass, lifeline, stove, fender; stow, check, drop, lash
  down, scrub, overhaul; rusty, soggy, reliable, second-hand, dripping, crooked; drag in the mud,
  take on water, point ten degrees off, swing with the tide
g harbour, headland, mooring, sandbank, lighthouse, channel, cove; leave, pass, sight, round,
  approach, enter; exposed, crowded, foggy, well-lit, narrow, silent; come up out of the haze,
  shelter us from the west, dry out at low water, look different from the sea
m diesel, rope, varnish, drinking water, coffee; coil, ration, buy, spill, carry aboard; cold,
  stale, cheap, salty; run low, find its way into everything, last two more days
r harbourmaster, lockkeeper, rigger, singlehander on the next berth, coastguard
p in the lee of the island, on the foredeck, at the chandlery, off the point, alongside the
  quay, in the cockpit
u miles, knots, fathoms, metres of chain, degrees, hours at the helm
n Kittiwake, Skerry Light, Brandon Sound, Halcyon, Port Ellery, the Maiden Rocks
t take two reefs | change the engine oil | plot a course for {proper} | wash the salt off |
  re-bed the stanchions | stand the dog watch | row ashore for bread | antifoul the hull
e the wind <back> to the south-east | dolphins <p follow> us past {proper} | fog <shut> in off
  {proper} | the engine <cough> and <die> | {role} <take> our lines | we <p log> {measure} before
  dark | a squall <come> across {proper} | the barometer <fall> {count} points
f the sea does not care about your timetable | a tidy boat is a fast boat | you reef when you
  first think of it | every harbour smells the same at night | cheap rope is the dearest rope
w the anchor will drag | the forecast is too kind | we will miss the tide at {proper} | the keel
  bolts need looking at | the shroud will not last the season
@fisherman *
g net, creel, buoy, longline, hook, float, rope end; haul, shoot, mend, bait, untangle, set,
  coil up; torn, tangled, heavy, empty, barnacled, new; snag on the wreck, come up full, drift off
  the mark, rot in the loft
g crab, lobster, cod, mackerel, ling, pollack, skate; land, measure, throw back, gut, weigh, box
  up, sell; undersized, plump, bright, soft-shelled, spiny, late; fight all the way up, hide under
  the ledge, fetch a good price, move into deeper water
g boat, wheelhouse, winch, gearbox, sounder, pump, engine; start, bail out, paint, nurse, curse,
  tow; noisy, old, patched, greasy, trusty; roll in the swell, drink fuel, leak oil, get us home
m ice, bait, fuel, tea, brine; shovel, freeze, pour, save, share out; stinking, slushy, strong,
  dear; melt before noon, bring every gull in the county, go up again
r fish buyer, deckhand, skipper of the other boat, fishery officer, engineer
p off the north bank, on the slipway, in the wheelhouse, at the fish market, behind the
  breakwater, over the wreck
u boxes, creels, stone of mackerel, fathoms, pots, lobsters
n Guiding Star, Ocean Lass, the Carrick, Sule Bank, Provider, the Smiddy Rock
t shoot the creels on {proper} | mend the fleet | land the boxes by five | clean the bilge | ice
  the catch | renew the licence | haul everything before the gale | trawl past {proper}
e seals <p strip> the nets at {proper} | {proper} <beat> us to the mark | the winch <slip> |
  {role} <argue> over {measure} | we <p put> back more than we <p keep> | a blue lobster <come> up
  off {proper} | swell <close> the harbour | {proper} <break> down on the way in
f fish have tails | you are only as good as your knots | the market is full when the hold is
  full | nobody whistles aboard | a quiet sounder is a liar
w the quota will be gone by autumn | {proper} is being overfished | the gearbox will go | the
  gale will not blow out by Friday | the young ones do not want the work
@stable hand
g mare, gelding, pony, colt, cob, foal; groom, lead out, lunge, saddle, exercise, tack up, turn
  out; nervous, greedy, glossy, lame, cheeky, sweet-natured; kick the door, refuse the ditch, roll
  in the mud, nuzzle my pocket, settle at once
g saddle, bridle, girth, head collar, rug, stirrup, hoof pick; clean, soap, hang up, mend,
  adjust, buckle; cracked, supple, muddy, borrowed, oversized, stiff; slip to one side, rub behind
  the ear, need stitching, go missing from the tack room
g stall, paddock, fence rail, trough, hay net, arena; muck out, sweep, rake, fill, scrub, check;
  flooded, bare, slippery, freshly raked, shady; turn to mud, stand empty, need new posts
m bedding, hay, chaff, bran, liniment; soak, fork out, mix, order, stack; dusty, fresh,
  sweet-smelling, damp; make the whole yard sneeze, go further than expected, disappear by the day
r farrier, riding instructor, owner of the grey, yard manager, show steward
p in the yard, at the gallops, down the bridleway, in the tack room, by the water jump, on the
  lower paddock
u bales, jumps, lengths, buckets, nails, rugs
n Juniper, Captain, Willow, Tinker, Duchess, Bramble
t plait {proper} for the show | worm the ponies | walk {proper} in hand | cold-hose {proper} |
  poo-pick the paddock | pull manes | bring {proper} in from the field | ride out at six
e {proper} <throw> a shoe | {proper} <clear> the big oxer | {role} <look> at {proper} and
  <shake> his head | {proper} <bite> {role} | the lorry <refuse> to start | {proper} <come> second
  | swallows <p come> back to the rafters | {proper} <dump> me in the nettles
f a horse never forgets a kindness or a slap | ponies are cleverer than their riders | the
  cheapest part of a horse is buying it | mud gets everywhere twice | you learn to fall before you
  learn to ride
w {proper} will be sold | the colic will come back | the show will be rained off | {role} will
  find fault with the tack | the hay will not last
)";

} // namespace coppice::people
