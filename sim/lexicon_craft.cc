// SPDX-License-Identifier: Apache-2.0
#include "sim/lexicon.h"

namespace coppice::people {

// The format is in lexicon.h.
const std::string_view kLexiconCraft = R"(
@woodworker *
g chisel, plane, tenon saw, mallet, spokeshave, marking gauge, clamp, lathe; sharpen, set, hone,
  pick up, tune, hang up, wax; keen, blunt, cast-iron, well-balanced, chipped, heavy; tear the
  grain, hold its edge, sing through the oak, wander off the line
g drawer, tabletop, chair leg, cabinet door, bench, bookcase, stool, blanket chest; plane, glue
  up, sand, cut, fit, assemble, finish, square up; crooked, tight, warped, plain, dovetailed,
  walnut, handsome; stick in wet weather, rack out of square, sit flat at last, need one more pass
g joint, mortise, dovetail, shoulder, hinge, peg, panel; mark out, chop, pare, test, recut,
  scribe; loose, clean, snug, gappy, hidden, angled; close with a tap, show a hairline gap, split
  at the end, hold without glue
m oak, ash, shellac, glue, sawdust, beeswax, elm; rip, stack, thin, brush on, sweep up, weigh,
  season; dry, green, figured, brittle, golden, knotty; move with the weather, smell of vinegar,
  blunt every edge, take the stain unevenly
r customer from the mill house, apprentice, timber merchant, upholsterer, church warden
p in the workshop, at the bench, under the rack, at the sawmill, in the drying loft, by the
  stove
u millimetres, boards, dovetails, coats, screws, shavings
n the Hartley commission, the vestry table, the Windsor set, the Ashdown dresser, the cradle,
  Number Four plane
t flatten the tabletop for {proper} | thickness the ash boards | oil {proper} | cut the mortises
  | make a jig | resaw the elm | quote for {proper} | turn a set of knobs
e a knot <fall> out of the best board | {role} <change> the drawings for {proper} | the glue
  <go> off too fast | {proper} <go> together without a tap | the bandsaw blade <snap> | I <1
  measure> twice and still <1 cut> it short | {role} <pay> for {proper} | a split <open> up in
  {proper}
f wood never stops moving | a sharp edge is a safe edge | the last coat shows every sin | nobody
  looks under the drawer except another maker | cheap hinges spoil good doors
w the boards for {proper} will cup | {role} will want it sooner | the finish has not cured | the
  landlord wants the workshop back | there is not enough walnut
@baker *
g loaf, baguette, brioche, rye, bun, focaccia, sourdough, croissant; shape, score, bake, proof,
  slice, knead, glaze; crusty, dense, airy, burnt, golden, underproved, sticky; spring in the
  oven, collapse at the edge, sell out by nine, crackle on the rack, spread too far
g oven, mixer, banneton, peel, scale, cooling rack, dough scraper, proofer; heat, clean, load,
  dust, fix, switch on, wipe down; hot, floury, temperamental, squeaky, cracked, spare; trip the
  fuse, run ten degrees cold, rattle on third speed, stand ready by three
m dough, starter, flour, butter, yeast, salt, rye meal, custard; feed, mix, weigh, fold, chill,
  order, rest; sluggish, silky, lively, sour, soft, wholemeal, cold; double in four hours, tear
  when I stretch it, smell of apples, need more water
g tart, eclair, gingerbread, plum cake, pretzel, cinnamon roll, pasty; fill, decorate, box up,
  dust, price, display, taste; flaky, sweet, glossy, crumbly, lopsided, buttery; go to the school
  fair, weep in the heat, disappear before lunch
r miller, delivery driver, cafe owner, health inspector, woman who always wants rye
p in the bakehouse, behind the counter, at the Saturday market, by the deck oven, in the cold
  room, on the loading step
u loaves, trays, kilos, grams of salt, degrees, dozen buns
n Gertrude, the Monday levain, the Hill Street order, Old Faithful, the wedding cake, the
  Harvest loaf
t feed {proper} | refresh the levain | laminate the croissants | bake off the rye | deliver
  {proper} | scale the dough at two | ice {proper} | count the till
e the power <fail> during the second bake | {role} <double> {proper} | {proper} <bubble> over
  the jar | the flour delivery <come> late | {role} <buy> {measure} at once | {proper} <stick> to
  the tin | a queue <form> before seven | I <1 burn> my forearm on the oven door
f bread waits for nobody | a starter is a pet that feeds you | the first tray is for the baker |
  salt is the ingredient you only notice by its absence | flour changes with every harvest
w the price of butter will ruin us | {proper} has caught a chill | the oven will not last the
  winter | {role} will cancel the order | the new supermarket will take the Saturday trade
@potter *
g bowl, mug, teapot, jug, platter, vase, lidded jar, tile; throw, trim, glaze, fire, wrap, dip,
  wedge; lopsided, thin, speckled, cracked, fine, squat, footed; warp in the kiln, ring when I tap
  it, crack at the foot, pour without a drip, sit badly in the hand
g kiln, wheel, shelf, cone, bat, sieve, extruder; load, level, scrape, repair, watch, vacuum,
  wire up; hot, noisy, crumbling, wonky, overfull; reach top temperature, stall at six hundred,
  trip the meter, cool for two days
g handle, spout, rim, foot ring, sprig, lid; pull, attach, smooth, recut, bevel, burnish;
  crooked, crisp, elegant, clumsy, delicate; drop off in the bisque, fit at the first try, need a
  wet sponge
m slip, porcelain, stoneware, celadon, ash glaze, grog; mix, sieve, recycle, brush on, wedge up,
  test; lumpy, creamy, gritty, runny, pale green, iron-rich; settle at the bottom, run onto the
  shelf, break blue over the rim, pinhole again
r gallery owner, evening class, collector, kiln engineer, clay supplier
p in the studio, at the wheel, beside the kiln, at the craft fair, in the damp cupboard, on the
  drying shelves
u pots, degrees, kilos of clay, test tiles, firings, seconds
n Cone Nine, the Moon series, the tenmoku batch, Firing Forty, the Thursday class, the spring
  collection
t unpack {proper} | reclaim the scraps | test {proper} with rutile | wedge tomorrow's clay |
  price the seconds | glaze {proper} | wax the foot rings | photograph {proper}
e {proper} <come> out the colour of rust | a shelf <crack> in {proper} | {role} <want> {measure}
  by June | {role} <drop> a lid | {proper} <sell> on the first morning | the pyrometer <read>
  nonsense | I <1 open> the kiln too early | glaze <run> over the shelves in {proper}
f clay remembers every touch | the kiln has the last word | a good pot hides its effort | cracks
  begin on the wheel and show in the fire | every glaze works once
w {proper} will dunt | the elements will burn out | the gallery will close | the cobalt is
  running low | {role} will hate the colour
@tailor
g jacket, waistcoat, skirt, coat, shirt, wedding dress, pair of trousers; cut out, baste, press,
  fit, let out, take in, line, hem; tweed, unlined, snug, old-fashioned, double-breasted,
  half-finished, sharp; hang badly at the back, pull across the shoulders, come back for a third
  fitting, look better on the stand
g sleeve, collar, buttonhole, lapel, pocket, seam, cuff; stitch, unpick, tack, ease in, steam,
  topstitch; puckered, neat, narrow, hand-sewn, frayed, curved; roll as it should, gape at the
  front, pucker under the iron, take all afternoon
g needle, thimble, shears, tape measure, iron, dress form, sewing machine; thread, oil, sharpen,
  misplace, plug in, put down; bent, hot, ancient, sharp, heavy; skip stitches, lie under the
  offcuts, need a new belt
m linen, silk, worsted, interlining, thread, velvet, tweed; shrink, order, unroll, match, cut on
  the bias, brush; slippery, crisp, moth-eaten, soft, striped, charcoal; fray if you look at it,
  crease at once, drape like water
r bride, bank manager, theatre designer, cloth merchant, best man
p in the cutting room, at the pressing table, in the fitting room, by the window, at the mill
  shop, under the lamp
u centimetres, buttons, yards, fittings, pins, hours
n the Delaney suit, the Oberon costume, Mrs Pryce's coat, the Lisle order, the bridesmaids, the
  Captain's blazer
t chalk the pattern for {proper} | sew the buttonholes on {proper} | take in {proper} | shorten
  the cuffs | draft a new block | order lining for {proper} | pad the lapels | mend the moth holes
e {role} <lose> weight before the second fitting | {proper} <go> out of the door at last | the
  moths <p find> the tweed | I <1 cut> the left front twice | {role} <weep> at the mirror |
  {proper} <come> back with a torn pocket | the machine <eat> the lining | {role} <pay> in cash
  and biscuits
f cloth has its own opinion | you measure the man and cut for the posture | a hem is never
  straight on a real leg | pressing is half of sewing | nobody thanks you for an invisible mend
w {proper} will not be ready | {role} will gain it all back | the merchant has no more of that
  stripe | my eyes are going | the shop rent is due
@luthier *
g fiddle, cello, guitar, mandolin, viola, bow; string up, restore, tune, varnish, retouch, play
  in, set up; bright, muffled, cracked, powerful, shrill, student, century-old; buzz on the low
  string, open up after a week, lose its voice in the damp, come back in pieces
g bridge, soundpost, neck, scroll, fingerboard, bass bar, tailpiece, peg; carve, fit, graft,
  shave, replace, true up, move; thick, ebony, warped, spotted, wedged, high; shift a hair, lean
  towards the fingerboard, rub at the shoulder, change everything
g gouge, thickness caliper, scraper, bending iron, clamp, mould; sharpen, heat, warm, set down,
  make, borrow; fine, curved, brass, hot, delicate; leave a tiny ripple, glow in the corner, fit
  my palm
m spruce, maple, hide glue, varnish, rosin, purfling; bend, split, cook, tint, polish, inlay;
  flamed, tight-grained, amber, tacky, brittle, seasoned; dry in the sun, craze overnight, ring
  like a bell
r cellist from the quartet, dealer, schoolteacher, insurance assessor, touring soloist
p in the workshop, at the north window, above the stove, in the wood store, at the auction
  rooms, on the repair shelf
u millimetres, coats, tenths, strings, cracks, grams
n the Mirecourt, the Forster cello, the Maggini copy, the rosewood guitar, Opus Twenty, the
  Klotz
t regraduate {proper} | close the crack in {proper} | rehair {proper} | cut a new bridge for
  {proper} | trace the outline | bend the ribs | photograph {proper} | write the insurance letter
e {role} <try> {proper} for an hour | a wing crack <open> in {proper} | {proper} <go> home
  singing | humidity <drop> to {count} percent | {role} <doubt> the label in {proper} | the
  varnish on {proper} <take> the light | I <1 find> a pencilled date inside {proper} | a peg
  <slip> during the concert
f the label is the least reliable part | half a millimetre is a mile | every old repair tells on
  somebody | varnish cannot be hurried | a player blames the fiddle first and the weather second
w {proper} will not hold its tune | {role} will want the old sound back | the good spruce is
  nearly gone | the glue line has let go | the heating will dry everything out
@programmer
g parser, scheduler, cache, build script, unit test, config file, endpoint, queue; rewrite,
  profile, debug, deploy, review, delete, document, refactor; flaky, brittle, undocumented, fast,
  legacy, over-engineered, minimal; fail on the second run, leak memory, pass on my machine, time
  out under load, need a better name
g bug, race condition, stack trace, off-by-one, regression, deadlock, warning; reproduce, chase,
  bisect, fix, ignore, file, explain; subtle, embarrassing, intermittent, ancient, harmless, ugly;
  vanish under the debugger, hide behind a retry, come back after the merge, take down staging
g laptop, keyboard, monitor, server, router, disk, standing desk; reboot, wipe, unplug, upgrade,
  mount, rack up; noisy, second-hand, overheated, remote, clicky; spin its fans, drop off the
  network, run out of space, wake at random
m code, latency, coffee, documentation, technical debt, logging; measure, cut down, push, write,
  drink, clean up; clever, stale, verbose, readable, cold; pile up, hide the real problem, cost a
  whole sprint
r product manager, new hire, on-call engineer, auditor, maintainer upstream
p in the standup, on the train, at my desk, in the incident channel, on staging, in the small
  meeting room
u commits, failing tests, lines, milliseconds, tickets, requests a second
n Heron, the billing service, Marmot, project Teapot, the nightly job, release 4.2
t bisect {proper} | bump the dependencies of {proper} | write a postmortem | migrate {proper} |
  answer the review comments | mute the pager | drop the old table | add an index to {proper}
e {proper} <go> down at lunchtime | {role} <reopen> the oldest ticket | the pipeline <turn>
  green after {dur} | somebody <force> a push to {proper} | {proper} <use> {measure} | {role}
  <ask> for a date | the certificate of {proper} <expire> | I <1 delete> {count} lines and nothing
  <break>
f naming is the hard part | every temporary fix has a birthday | the logs know but they will not
  say | a test that never fails is a decoration | clocks lie
w {proper} will fall over again | nobody understands {proper} any more | the migration will
  overrun | the demo is on the wrong branch | {role} has promised it already
@electrician
g consumer unit, socket, dimmer, junction box, lighting circuit, isolator, ring main; rewire,
  test, isolate, replace, label, earth, trace; live, dead, overloaded, scorched, mislabelled,
  old-style; trip every evening, buzz behind the plaster, read open circuit, pass at the second
  attempt
g ladder, multimeter, crimper, conduit bender, drill, van, cable drum; load, carry, charge up,
  calibrate, lose, reverse; flat, battered, insulated, bent, reliable; need a new battery, block
  the drive, slip on the tiles
g ceiling rose, floor lamp, shower pump, immersion heater, boiler, doorbell; hang, fit, repair,
  disconnect, wire up, condemn; fiddly, brass, silent, leaking, modern; hum like a fridge, flicker
  when the lift runs, work without any reason
m cable, trunking, solder, plaster dust, paperwork, tape; pull through, clip, strip, sweep up,
  finish, order; twisted, grey, armoured, brittle, endless; crumble in my hand, run the wrong way,
  cost double this year
r site foreman, landlord, plasterer, homeowner, inspector
p in the loft, under the stairs, at the wholesaler, behind the cooker, on the scaffold, in the
  plant room
u metres, sockets, amps, volts, circuits, ohms
n Orchard House, the Mill Lane job, the surgery, Flat Nine, the school hall, the chip shop
t first-fix {proper} | certify {proper} | chase the kitchen walls | price {proper} | test the
  smoke alarms | bond the gas pipe | fill in the certificate for {proper} | pull cable through
  {proper}
e {role} <drill> straight through a cable | {proper} <lose> all its lights | a mouse <chew> the
  flex in {proper} | the breaker <hold> at last | {role} <move> the sockets again | I <1 find>
  newspaper from another age under the boards at {proper} | the reading <come> out at {measure} |
  {role} <pay> late for {proper}
f the last man always made a mess | electricity finds your mistakes before the inspector does |
  nobody labels a board for the next man | old houses hide their wires | a tidy board is a safe
  board
w {proper} will fail its inspection | {role} will not pay | the copper price will climb | the
  plasterer has buried my boxes | my knees are done with lofts
)";

} // namespace coppice::people
