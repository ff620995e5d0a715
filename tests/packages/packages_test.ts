// The plugins that are packages of their own, as a stranger would make, check, publish and install them.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { valueImports } from "../../manifest/module_imports.ts";
import { skippable } from "../skippable.ts";
import { ROOT } from "../suites.ts";

const PACKAGES = ["value_histogram", "steering_vector"] as const;

interface Ended {
  readonly code: number;
  readonly output: string;
}

async function run(command: string, args: readonly string[], cwd: string): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ORT_DISABLE_TELEMETRY: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, output: text.decode(stdout) + text.decode(stderr) };
}

async function good(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, output } = await run(command, args, cwd);
  assert.equal(code, 0, `${command} ${args.join(" ")} in ${cwd}:\n${output}`);
  return output;
}

function hookline(args: readonly string[], cwd: string): Promise<string> {
  const own = ["run", "-A", "--no-check", "--no-prompt", "--unstable-worker-options"];
  const program = ["--config", join(ROOT, "deno.json"), join(ROOT, "cli", "main.ts")];
  return good(Deno.execPath(), [...own, ...program, ...args], cwd);
}

for (const name of PACKAGES) {
  const folder = join(ROOT, "packages", name);

  Deno.test(`packages/${name} passes its own tests and the cases of the testing kit`, async () => {
    const output = await good(Deno.execPath(), ["test", "-A", "--no-check"], folder);
    assert.match(output, /its state can be reset \.\.\. ok/);
  });

  Deno.test(`packages/${name} passes plugin check and a dry run of its publication`, async () => {
    const check = JSON.parse(await hookline(["plugin", "check", ".", "--json"], folder));
    assert.equal(check.status, "good");
    const output = await good(
      Deno.execPath(),
      ["publish", "--dry-run", "--allow-dirty"],
      folder,
    );
    assert.match(output, /plugin\.json/);
    assert.doesNotMatch(output, /_test\.ts/);
  });

  Deno.test(`packages/${name} imports nothing of Hookline but types`, () => {
    const code = readFileSync(join(folder, "mod.ts"), "utf8");
    assert.match(code, /import type \{[^}]*\} from "@hookline\/hookline"/);
    assert.deepEqual(valueImports(code).filter((one) => !one.startsWith("./")), []);
  });
}

const APPLICATION = `
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { attachPlugins, float32, grantRequested, loadPlugin, openModel, readManifest }
  from "@hookline/hookline";
import { buildModel } from "@hookline/hookline/testing";
const require = createRequire(import.meta.url);
const load = (name, options) => loadPlugin("npm:" + name, {
  grants: grantRequested(readManifest(dirname(require.resolve(name + "/plugin.json")))),
  ...options,
});
await using model = await openModel(buildModel({ layers: 2 }), {
  provider: "cpu", engine: "napi", optimization: "disabled",
});
const feeds = { x: float32([1, 4], [1, 2, 3, 4]) };
const plain = (await model.run(feeds)).y.data;
const plugins = [
  await load("@hookline/value-histogram", { outputFolder: "out" }),
  await load("@hookline/steering-vector", { modules: "layers.0", options: { vector: [1, 1, 1, 1] } }),
];
{
  await using attached = await attachPlugins(model, plugins);
  const steered = (await model.run(feeds)).y.data;
  console.log(JSON.stringify({
    node: process.versions.node,
    engine: model.engine,
    names: plugins.map((plugin) => plugin.name),
    changed: steered.some((value, index) => value !== plain[index]),
  }));
}
`;

Deno.test({
  ...skippable(
    "the packages install from npm tarballs and run on Node 24 with the napi engine, the core their peer",
    missing("npx") ?? missing("npm"),
  ),
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const tarballs = await Promise.all(
        [["core", ROOT], ...PACKAGES.map((name) => [name, join(ROOT, "packages", name)])].map(
          async ([name = "", source = ""]) => {
            const path = join(folder, `${name}.tgz`);
            await good(Deno.execPath(), ["pack", "--allow-dirty", "-o", path], source);
            return path;
          },
        ),
      );
      for (const path of tarballs.slice(1)) await hookline(["plugin", "pack", path], folder);
      await Deno.writeTextFile(
        join(folder, "package.json"),
        JSON.stringify({ name: "app", private: true, type: "module" }),
      );
      await good(
        "npm",
        ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...tarballs],
        folder,
      );
      for (const name of ["value-histogram", "steering-vector"]) {
        const path = join(folder, "node_modules", "@hookline", name, "package.json");
        const { peerDependencies, dependencies } = JSON.parse(await Deno.readTextFile(path));
        assert.deepEqual(Object.keys(peerDependencies), ["@hookline/hookline"]);
        assert.equal(dependencies, undefined);
      }
      await Deno.writeTextFile(join(folder, "app.mjs"), APPLICATION);
      const output = await good("npx", ["-y", "node@24", "app.mjs"], folder);
      const line = output.split("\n").find((one) => one.startsWith("{")) ?? "";
      const { node, ...found } = JSON.parse(line);
      assert.match(node, /^24\./);
      assert.deepEqual(found, {
        engine: "napi",
        names: ["value-histogram", "steering-vector"],
        changed: true,
      });
      assert.ok(existsSync(join(folder, "out", "value_histogram.json")));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

function missing(program: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)))
    ? undefined
    : `there is no ${program} here`;
}
