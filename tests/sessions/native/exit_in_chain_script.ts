// Run by native_chain_test.ts: ends the process while a chain computes on its own thread.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";
import { buildModel } from "../tiny_models.ts";

const engine = new NativeEngine();
const declare = (name: string) => ({ name, dtype: "float32" as const, shape: [384, 384] });
const last = buildModel({
  inputs: [declare("y")],
  outputs: [declare("z")],
  nodes: [{ op: "Neg", inputs: ["y"], outputs: ["z"] }],
});
const links = [];
for (const bytes of [slowModel(200), last]) {
  const session = await engine.open(
    { kind: "bytes", bytes, weightFolder: null },
    { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label: "slow" },
  );
  links.push({ session, fetches: session.outputs.map(({ name }) => name) });
}
const chain = engine.chain(links, ["z"]);
for (let run = 0; run < 5; run++) await chain?.run(slowFeeds());
chain?.run(slowFeeds());
setTimeout(() => {
  console.log("ending");
  Deno.exit(0);
}, 5);
