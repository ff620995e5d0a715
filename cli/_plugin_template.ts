// The files of a new plugin. They must pass `plugin check`, their own tests, formatting, linting and
// `deno publish --dry-run` as they are: a test makes one of each kind and does all of that.

import { HOOK_API_VERSION } from "../manifest/hook_api.ts";
import { VERSION } from "./_version.ts";

/** What a new plugin is made from. */
export interface PluginTemplate {
  /** The scope of its package, without `@`. */
  readonly scope: string;
  /** Its name. */
  readonly name: string;
  /** What it does to models. */
  readonly kind: "observer" | "transformer";
  /** Folder of a checkout of Hookline to take instead of the published package, or null. */
  readonly link: string | null;
}

/** The files by their path in the plugin's folder. */
export function templateFiles(template: PluginTemplate): Readonly<Record<string, string>> {
  return {
    "plugin.json": json(manifest(template)),
    "deno.json": json(config(template)),
    "mod.ts": template.kind === "observer" ? observerCode(template) : transformerCode(template),
    "mod_test.ts": testCode(template),
    "README.md": readme(template),
    "LICENSE": LICENSE,
    ".github/workflows/ci.yml": CI,
  };
}

function json(value: unknown): string {
  // As deno fmt writes it: short lists on one line.
  return `${
    JSON.stringify(value, null, 2).replace(
      /\[\n\s+((?:"[^"\n]*"(?:,\n\s+)?){1,3})\n\s+\]/g,
      (_, items) => `[${String(items).replace(/,\n\s+/g, ", ")}]`,
    )
  }\n`;
}

function manifest({ name, kind }: PluginTemplate): object {
  const modules = ["**"];
  const read = { id: "read-activations", level: "values", modules };
  return {
    manifestVersion: 1,
    name,
    version: "0.1.0",
    apiVersion: `^${HOOK_API_VERSION}`,
    engines: { deno: ">=2.9", node: ">=24" },
    description: kind === "observer"
      ? "Keeps the largest magnitude of each module's output"
      : "Scales what modules put out",
    license: "MIT",
    main: "./mod.ts",
    kind,
    hooks: [kind === "observer" ? "observe:final" : "post"],
    match: { modules },
    permissions: kind === "observer" ? [{ ...read, reason: "looks for the largest element" }] : [
      { ...read, reason: "scales what is there" },
      { id: "write-activations", modules, shape: "preserve", reason: "scales outputs" },
    ],
    numerics: kind === "observer" ? "transparent" : "changes",
    isolation: "inline",
  };
}

function config({ scope, name, link }: PluginTemplate): object {
  return {
    name: `@${scope}/${name}`,
    version: "0.1.0",
    license: "MIT",
    exports: { ".": "./mod.ts", "./plugin.json": "./plugin.json" },
    imports: { "@hookline/hookline": `jsr:@hookline/hookline@^${VERSION}` },
    ...(link === null ? {} : { links: [link] }),
    unstable: ["worker-options"],
    tasks: {
      test: "deno test --allow-read",
      check: "deno check . && deno lint && deno fmt --check",
      "publish:check": "deno publish --dry-run --allow-dirty",
    },
    fmt: { lineWidth: 100, proseWrap: "preserve" },
    publish: { exclude: ["mod_test.ts", ".github", "deno.lock"] },
  };
}

function observerCode({ scope, name }: PluginTemplate): string {
  return `/**
 * Keeps the largest magnitude of each module's output and logs it when it grows.
 *
 * @example
 * \`\`\`ts ignore
 * import { definePipeline, loadPlugin } from "@hookline/hookline";
 * await using plugin = await loadPlugin("npm:@${scope}/${name}");
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   plugins: [plugin],
 * }).open();
 * \`\`\`
 *
 * @module
 */

import type { PluginModule, TensorMap } from "@hookline/hookline";

/** The plugin: it makes one hook for each module that its manifest matches. */
const plugin: PluginModule = {
  createHook(module, host) {
    let largest = 0;
    return {
      postForward(_call, outputs) {
        const found = largestMagnitude(outputs);
        if (found <= largest) return;
        largest = found;
        host.log(\`\${module.path}: \${found}\`);
      },
      resetState() {
        largest = 0;
      },
    };
  },
};

function largestMagnitude(tensors: TensorMap): number {
  let largest = 0;
  for (const { data } of Object.values(tensors)) {
    for (const value of data) largest = Math.max(largest, Math.abs(Number(value)));
  }
  return largest;
}

export default plugin;
`;
}

function transformerCode({ scope, name }: PluginTemplate): string {
  return `/**
 * Scales what modules put out by \`options.factor\`, which is 0.5 by default.
 *
 * @example
 * \`\`\`ts ignore
 * import { definePipeline, loadPlugin } from "@hookline/hookline";
 * await using plugin = await loadPlugin("npm:@${scope}/${name}", { options: { factor: 2 } });
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   plugins: [plugin],
 * }).open();
 * \`\`\`
 *
 * @module
 */

import type { PluginModule, PluginOptions, Tensor } from "@hookline/hookline";

/** The plugin: it makes one hook for each module that its manifest matches. */
const plugin: PluginModule = {
  createHook(_module, host) {
    const factor = factorOf(host.options);
    return {
      postForward(_call, outputs) {
        const scaled: Record<string, Tensor> = {};
        for (const [name, tensor] of Object.entries(outputs)) {
          if (!(tensor.data instanceof Float32Array)) continue;
          scaled[name] = { ...tensor, data: tensor.data.map((value) => value * factor) };
        }
        return scaled;
      },
    };
  },
};

function factorOf(options: PluginOptions): number {
  const given = typeof options === "object" && options !== null && "factor" in options
    ? options.factor
    : undefined;
  return typeof given === "number" ? given : 0.5;
}

export default plugin;
`;
}

function testCode({ kind }: PluginTemplate): string {
  const body = kind === "observer"
    ? `Deno.test("logs the largest magnitude, and only when it grows", async () => {
  const lines: string[] = [];
  const hook = await plugin.createHook(MODULE, hostWith((line) => lines.push(line)));
  for (const value of [1, -3, 2]) {
    await hook?.postForward?.(CALL, { y: float32([1], [value]) }, null);
  }
  assert.deepEqual(lines, ["layers.0: 1", "layers.0: 3"]);
});
`
    : `Deno.test("scales floats by the factor", async () => {
  const hook = await plugin.createHook(MODULE, hostWith({ factor: 3 }));
  const result = await hook?.postForward?.(CALL, { y: float32([1], [2]) }, null);
  assert.deepEqual(result?.y?.data, new Float32Array([6]));
});
`;
  const host = kind === "observer"
    ? `function hostWith(log: (line: string) => void): PluginHost {
  return { env: {}, options: null, log, openSink: () => ({ write() {}, close() {} }) };
}
`
    : `function hostWith(options: PluginOptions): PluginHost {
  return { env: {}, options, log() {}, openSink: () => ({ write() {}, close() {} }) };
}
`;
  const types = kind === "observer" ? "type PluginHost" : "type PluginHost, type PluginOptions";
  return `import assert from "node:assert/strict";
import { float32, ${types} } from "@hookline/hookline";
import { pluginConformance } from "@hookline/hookline/testing";
import plugin from "./mod.ts";

const MODULE = { path: "layers.0", className: null, callCount: 1 };
const CALL = {
  module: MODULE,
  callIndex: 0,
  inputNames: ["x"],
  outputNames: ["y"],
  runId: 0,
  step: null,
  context: "default",
};

${host}
// What every plugin must do; it runs on a small model and needs no native code.
for (const one of pluginConformance(new URL(".", import.meta.url))) Deno.test(one.name, one.run);

${body}`;
}

function readme({ scope, name, kind }: PluginTemplate): string {
  const what = kind === "observer"
    ? "Keeps the largest magnitude of each module's output and logs it when it grows."
    : "Scales what modules put out by \`options.factor\`, which is 0.5 by default.";
  return `# ${name}

${what} A plugin for Hookline (\`@hookline/hookline\`).

\`\`\`ts
import { definePipeline, loadPlugin } from "@hookline/hookline";

await using plugin = await loadPlugin("npm:@${scope}/${name}");
await using pipeline = await definePipeline({
  models: { encoder: "bert.onnx" },
  plugins: [plugin],
}).open();
\`\`\`

What it may do is in \`plugin.json\`; grant it with \`hookline plugin grant npm:@${scope}/${name}\`.

## Work on it

- \`deno task test\` runs its tests and the cases that every plugin must pass.
- \`hookline plugin check .\` compares the code with the manifest.
- \`hookline plugin check . --sign\` writes the hashes of the files into the manifest; do it last.
- \`deno task publish:check\` shows what a publication would hold.
`;
}

const CI = `name: ci
on: [push, pull_request]
permissions:
  contents: read
  id-token: write
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: denoland/setup-deno@v2
      - run: deno task check
      - run: deno task test
      - run: deno publish --dry-run
`;

const LICENSE = `MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO
EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;
