// $ deno task demo
//
// The main job on a real model with trained weights: open the Silero speech detector as npm ships it, see
// its modules, hook them, trace them, change one, and show that hooks that only look change no bit. Then
// the question of everybody who ports a model: an int8 copy answers differently, which module is it?

import {
  type ForwardCall,
  HooklineError,
  type Model,
  ModelHook,
  openModel,
  openSessions,
  type TensorMap,
} from "@hookline/hookline";
import { compareModels, compareReportHtml } from "@hookline/hookline/parity";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { detectSpeech, sparkline } from "./detector.ts";
import { sileroUrl, writeSileroCopies } from "./silero_copies.ts";
import { SAMPLE_RATE, speechLikeSound } from "./speech.ts";

const SECONDS = 3.2;
/** Modules named of those that bring an error in. */
const TOP = 4;

/** Mean absolute activation of one module over all calls. */
class AbsMean extends ModelHook {
  override readonly name = "abs-mean";
  #sum = 0;
  #count = 0;

  override postForward(_call: ForwardCall, outputs: TensorMap): void {
    for (const { data } of Object.values(outputs)) {
      if (!(data instanceof Float32Array)) continue;
      for (const value of data) this.#sum += Math.abs(value);
      this.#count += data.length;
    }
  }

  get value(): number {
    return this.#sum / this.#count;
  }
}

/** Multiplies a module's output: an edit, so the graph is cut after the module. */
class Scale extends ModelHook {
  override readonly name = "scale";
  override readonly access = "edit";

  constructor(readonly factor: number) {
    super();
  }

  override postForward(_call: ForwardCall, outputs: TensorMap): TensorMap {
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [
        name,
        { ...value, data: (value.data as Float32Array).map((element) => element * this.factor) },
      ]),
    );
  }
}

/** Which module of an int8 copy errs; the answer in words here, in colours in a file. */
async function compareWithInt8(): Promise<void> {
  console.log("\n6. the detector against an int8 copy of it: which module brings the error in?");
  const folder = mkdtempSync(join(tmpdir(), "hookline-demo-"));
  const { original, int8, feeds } = await writeSileroCopies(folder);
  const report = await compareModels(original, int8, { feeds });
  for (const { module, local, nodes } of report.introducedBy.slice(0, TOP)) {
    const error = `off by ${local.maxAbs.toPrecision(3)} of ${local.scale.toPrecision(3)}`;
    console.log(
      `   ${module.padEnd(32)} ${error}, SQNR ${local.sqnrDb.toFixed(1)} dB, ${nodes} nodes`,
    );
  }
  const named = new Set(report.introducedBy.map(({ module }) => module));
  const passing = new Set(
    report.modules
      .filter(({ module, inherited }) => !named.has(module) && (inherited?.ratio ?? 0) > 1)
      .map(({ module }) => module),
  );
  console.log(`   ${passing.size} others only pass it on`);
  for (const { module, tensor, inherited } of report.modules) {
    if (module !== "" || inherited === null) continue;
    console.log(`   ${tensor} of the whole model is off by ${inherited.maxAbs.toPrecision(3)}`);
  }
  const page = join(folder, "report.html");
  writeFileSync(page, compareReportHtml(report));
  console.log(`   report: ${pathToFileURL(page).href}`);
}

function differingBits(left: readonly number[], right: readonly number[]): number {
  const a = new Uint32Array(Float32Array.from(left).buffer);
  const b = new Uint32Array(Float32Array.from(right).buffer);
  let bits = 0;
  a.forEach((word, index) => {
    for (let rest = word ^ (b[index] as number); rest !== 0; rest &= rest - 1) bits++;
  });
  return bits;
}

function printTree(model: Model): void {
  for (const module of model.modules) {
    const depth = module.path === "" ? 0 : module.path.split(".").length;
    const name = module.path === "" ? "(the whole model)" : module.path.split(".").at(-1);
    const nodes = module.calls.reduce((sum, call) => sum + call.nodes.length, 0);
    const note = module.insideBody === null ? "" : `  inside ${module.insideBody}: not hookable`;
    console.log(`  ${"  ".repeat(depth)}${name}  ${nodes} nodes${note}`);
  }
}

async function main(): Promise<void> {
  const sound = speechLikeSound(SECONDS);
  const model = await openModel(sileroUrl());
  try {
    console.log(`1. ${model.label}, unmodified: ${model.modules.length} modules\n`);
    printTree(model);

    console.log(`\n2. ${SECONDS} s of sound at ${SAMPLE_RATE} Hz, no hooks`);
    const plain = await detectSpeech(model, sound);
    console.log(`   ${model.explain().split("\n").join("\n   ")}`);
    console.log(`   speech: ${sparkline(plain)}`);

    console.log("\n3. every module traced");
    const hookable = model.modules.filter((module) =>
      module.insideBody === null && module.calls.length > 0 && module.path !== ""
    );
    const traces = hookable.map((module) => {
      const hook = new AbsMean();
      return { path: module.path, hook, handle: model.registry(module.path).register(hook) };
    });
    console.log(`   ${model.explain().split("\n")[0]}`);
    const traced = await detectSpeech(model, sound);
    for (const { path, hook } of traces) {
      console.log(`   ${path.padEnd(32)} mean |x| ${hook.value.toFixed(4)}`);
    }
    console.log(`   speech: ${sparkline(traced)}`);
    console.log(`   bits that differ from the run without hooks: ${differingBits(plain, traced)}`);
    for (const { handle } of traces) await handle.remove();

    console.log("\n4. one module edited: the encoder's output times 0.25");
    const handle = model.registry("model.encoder").register(new Scale(0.25));
    console.log(`   ${model.explain().split("\n").join("\n   ")}`);
    const edited = await detectSpeech(model, sound);
    console.log(`   speech: ${sparkline(edited)}`);
    await handle.remove();

    console.log("\n5. hooks removed");
    const again = await detectSpeech(model, sound);
    console.log(`   ${model.explain().split("\n")[0]}`);
    console.log(`   bits that differ from the first run: ${differingBits(plain, again)}`);
    if (differingBits(plain, traced) + differingBits(plain, again) > 0) {
      throw new Error("the outputs differ");
    }
  } finally {
    await model.close();
  }
  await compareWithInt8();
  console.log(`   sessions left open: ${openSessions().length}`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof HooklineError)) throw error;
    console.error(`${error.code}: ${error.message}\n${error.fix}`);
    Deno.exitCode = 1;
  }
}
