/**
 * A Hookline plugin that counts how the magnitudes of each module's output spread over powers of two, and
 * writes the counts to `value_histogram.json` in the application's output folder when it ends. A wide
 * spread, or many values below 2^-14, says that float16 will lose something.
 *
 * @example
 * ```ts ignore
 * import { definePipeline, loadPlugin } from "@hookline/hookline";
 * await using plugin = await loadPlugin("npm:@hookline/value-histogram", { outputFolder: "out" });
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   plugins: [plugin],
 * }).open();
 * ```
 *
 * @module
 */

import type { PluginHost, PluginModule } from "@hookline/hookline";
import { addValues, emptyHistogram, type Histogram } from "./histogram.ts";

/** What is written: one histogram for each module, by path. */
const histograms = new Map<string, Histogram>();
/** The host that opens the file; the same for every module. */
let opener: PluginHost | null = null;

/**
 * The plugin: it makes one hook for each module that its manifest matches. `close` writes the file.
 */
const plugin: PluginModule = {
  createHook(module, host) {
    opener = host;
    const histogram = emptyHistogram();
    histograms.set(module.path, histogram);
    return {
      postForward(_call, outputs) {
        for (const { data } of Object.values(outputs)) addValues(histogram, numbersOf(data));
      },
      resetState() {
        Object.assign(histogram, { ...emptyHistogram(), counts: histogram.counts });
        for (const exponent of Object.keys(histogram.counts)) delete histogram.counts[exponent];
      },
    };
  },
  close() {
    const counted = [...histograms].filter(([, { total }]) => total > 0);
    const host = opener;
    histograms.clear();
    opener = null;
    if (host === null || counted.length === 0) return;
    const sink = host.openSink("value_histogram.json");
    sink.write(`${JSON.stringify(Object.fromEntries(counted), null, 2)}\n`);
    sink.close();
  },
};

/** Elements as numbers; the manifest's dtypes leave nothing else. */
function* numbersOf(data: Iterable<number | bigint | string>): Generator<number> {
  for (const value of data) yield Number(value);
}

export default plugin;
