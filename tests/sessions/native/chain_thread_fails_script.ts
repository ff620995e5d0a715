// Run by native_chain_test.ts: the thread of chains fails as soon as it starts. Prints whether the numbers
// are right without it, and then ends by itself: nothing keeps waiting for the thread.

import { binary2d, openChain, RUNS } from "./_open_chain.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";

const LINGERS_MS = 20_000;

const encode = globalThis.encodeURIComponent;
globalThis.encodeURIComponent = (source) => encode(`throw new Error("no thread"); ${source}`);
Deno.unrefTimer(setTimeout(() => console.log("lingers"), LINGERS_MS));

await using opened = await openChain([slowModel(60), binary2d("Add", ["y", "x"], "z")], ["z"]);
const twice = (slowFeeds()["x"]?.data as Float32Array).map((value) => 2 * value);
let isRight = true;
for (let run = 0; run < RUNS; run++) {
  const made = (await opened.chain.run(slowFeeds()))["z"]?.data as Float32Array;
  isRight &&= made.every((value, index) => value === twice[index]);
}
console.log(isRight ? "right" : "wrong");
