// Runs the Silero detector over a sound: 512 new samples a call, 64 of context before them, and the
// recurrent state carried from call to call.

import { float32, type Model, tensor } from "@hookline/hookline";
import { SAMPLE_RATE } from "./speech.ts";

const CHUNK = 512;
const CONTEXT = 64;

/** The probability of speech for each 32 ms of the sound. */
export async function detectSpeech(model: Model, sound: Float32Array): Promise<number[]> {
  const sr = tensor("int64", [], BigInt64Array.of(BigInt(SAMPLE_RATE)));
  let state = float32([2, 1, 128], new Float32Array(256));
  let context = new Float32Array(CONTEXT);
  const probabilities: number[] = [];
  for (let start = 0; start + CHUNK <= sound.length; start += CHUNK) {
    const input = new Float32Array(CONTEXT + CHUNK);
    input.set(context);
    input.set(sound.subarray(start, start + CHUNK), CONTEXT);
    context = input.slice(CHUNK);
    const { output, stateN } = await model.run({
      input: float32([1, input.length], input),
      state,
      sr,
    });
    if (output === undefined || stateN === undefined) throw new Error("this is no Silero detector");
    state = stateN;
    probabilities.push((output.data as Float32Array)[0] as number);
  }
  return probabilities;
}

/** One block character a probability. */
export function sparkline(probabilities: readonly number[]): string {
  return probabilities.map((value) => "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor(value * 8))]).join("");
}
