// Sound for the demo: bursts that resemble speech (a gliding voice with formants, in syllables) between
// stretches of near silence. Deterministic, so that the demo prints the same every time.

/** Samples per second. */
export const SAMPLE_RATE = 16_000;

const FORMANTS: readonly (readonly [number, number])[] = [[650, 1], [1150, 0.5], [2500, 0.25]];

/** `seconds` of sound in [-1, 1]: speech-like from 0.8 s to 1.8 s and from 2.4 s on, quiet elsewhere. */
export function speechLikeSound(seconds: number): Float32Array {
  const samples = new Float32Array(Math.round(seconds * SAMPLE_RATE));
  let noise = 1;
  let phase = 0;
  for (let index = 0; index < samples.length; index++) {
    const time = index / SAMPLE_RATE;
    noise = (Math.imul(noise, 1_664_525) + 1_013_904_223) >>> 0;
    const hiss = (noise / 2 ** 31 - 1) * 0.002;
    const isSpeech = (time > 0.8 && time < 1.8) || time > 2.4;
    const pitch = 130 + 25 * Math.sin(2 * Math.PI * 1.3 * time);
    phase += 2 * Math.PI * pitch / SAMPLE_RATE;
    let voice = 0;
    for (let harmonic = 1; harmonic * pitch < 4000; harmonic++) {
      const frequency = harmonic * pitch;
      const shift = 1 + 0.2 * Math.sin(2 * Math.PI * 2.1 * time);
      let gain = 0;
      for (const [center, height] of FORMANTS) {
        const distance = (frequency - center * shift) / 160;
        gain += height * Math.exp(-distance * distance);
      }
      voice += gain * Math.sin(harmonic * phase);
    }
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 2.2 * time)) ** 0.5;
    samples[index] = hiss + (isSpeech ? 0.12 * syllable * voice : 0);
  }
  return samples;
}
