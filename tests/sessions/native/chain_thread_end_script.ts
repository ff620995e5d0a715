// Run by native_chain_test.ts: the thread of chains ends by an error of its own while a chain runs there.
// Prints in which order sessions were announced before and after that, and whether the numbers are right.

import { binary2d, openChain } from "./_open_chain.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";

/** Readings of the thread's clock, two for each session, before it fails. */
const READINGS = 9;
const MOST_RUNS = 200;
/** A run that is never answered. */
const HANGS_MS = 60_000;

const encode = globalThis.encodeURIComponent;
globalThis.encodeURIComponent = (source) =>
  encode(`
let readings = 0;
const now = performance.now.bind(performance);
performance.now = () => {
  if (++readings > ${READINGS}) throw new Error("the clock is gone");
  return now();
};
${source}`);
const watch = setTimeout(() => {
  console.log('"hangs"');
  Deno.exit(0);
}, HANGS_MS);

await using opened = await openChain(
  [slowModel(60), binary2d("Add", ["y", "x"], "z"), binary2d("Sub", ["z", "x"], "w")],
  ["w"],
);
const whole = [...slowFeeds()["x"]?.data as Float32Array];

/** One run, and the sessions in the order in which they were announced. */
async function run(isGivenAway = false): Promise<readonly [string, readonly number[]]> {
  const told: number[] = [];
  const feeds = slowFeeds();
  const running = opened.chain.run(feeds, {
    before: (index) => Promise.resolve(void told.push(index)),
    around: async (index, session) => {
      told.push(index);
      await session();
    },
  });
  if (isGivenAway) (feeds["x"]?.data as Float32Array<ArrayBuffer>).buffer.transfer();
  const made = (await running)["w"]?.data as Float32Array;
  return [made.every((value, index) => value === whole[index]) ? "right" : "wrong", told];
}

let inRow: readonly number[] = [];
for (let runs = 0; inRow.length < 4 && runs < MOST_RUNS; runs++) [, inRow] = await run();
const [ended] = await run(true);
console.log(JSON.stringify({ inRow, ended, after: await run() }));
clearTimeout(watch);
