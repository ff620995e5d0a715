import { loadCorpus } from "./corpus.ts";
import { fuzzModel } from "./fuzz_case.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { feedsFor } from "../support/run_model.ts";
const m = fuzzModel(loadCorpus(), 2, 9169);
await using model = await openModel(m.bytes, { provider: "cpu", optimization: "disabled", threads: 1, weightFolder: m.base.folder });
const feeds = feedsFor(model.inputs);
console.log(model.inputs, feeds);
console.log("plan", Deno.args[0]);
const plan = Deno.args[0] === "whole" ? model.plan() : model.plan({ tap: "**" });
try { console.log(Object.keys(await model.run(feeds, { plan }))); } catch (e) { console.log(String(e).slice(0, 300)); }
console.log("survived");
