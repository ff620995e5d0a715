// What a plugin's isolation costs: one observer of 4 MB activations in a worker and in a process of its own,
// against the same plugin in this process, each behind the guard that every plugin stands behind; and against
// a plain call of its method, which reads the 4 MB once and does nothing else.

import { realpathSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { AuditEntry } from "../manifest/audit.ts";
import type { ForwardCall, ModelHook } from "../hooks/model_hook.ts";
import { guardHook, newTally } from "../manifest/guarded_hook.ts";
import type { HostSpec } from "../manifest/isolation/host_spec.ts";
import { hostInProcess } from "../manifest/isolation/process_host.ts";
import { hostInWorker } from "../manifest/isolation/worker_host.ts";
import type { IsolationLevel } from "../manifest/plugin_manifest.ts";
import type { PluginHook } from "../manifest/plugin_module.ts";
import { parseManifest } from "../manifest/read_manifest.ts";
import { float32 } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { race } from "./harness.ts";
import magnitude from "../tests/fixtures/magnitude_plugin/mod.ts";

/** 4 MB of float32. */
const ELEMENTS = 1_048_576;
const MODULE = { path: "block", className: null, callCount: 1 };
const CALL: ForwardCall = {
  module: MODULE,
  callIndex: 0,
  inputNames: ["x"],
  outputNames: ["y"],
  runId: 0,
  step: null,
  context: "default",
  signal: undefined,
};
const MANIFEST = parseManifest({
  manifestVersion: 1,
  name: "magnitude",
  version: "1.0.0",
  apiVersion: "*",
  description: "Reads every activation once",
  license: "Apache-2.0",
  main: "./mod.ts",
  kind: "observer",
  hooks: ["observe:final"],
  match: { modules: ["**"] },
  permissions: [
    { id: "read-activations", level: "values", modules: ["**"], reason: "it is what is measured" },
  ],
  numerics: "transparent",
}, "the benchmark's manifest");

function specOf(): HostSpec {
  const root = realpathSync(join(import.meta.dirname ?? "", "../tests/fixtures/magnitude_plugin"));
  return {
    root,
    mainUrl: pathToFileURL(join(root, "mod.ts")).href,
    rights: {
      plugin: "magnitude",
      readActivations: "values",
      modules: ["**"],
      writeActivations: false,
      changesShape: false,
      replaceForward: false,
      skipForward: false,
      readInputs: [],
      readOutputs: [],
      manageResidency: false,
      fsRead: [],
      fsWrite: [],
      env: [],
      net: [],
      because: [],
    },
    options: null,
    budgets: {},
    audit: refuseDenials,
  };
}

function refuseDenials({ permission, value, decision }: AuditEntry): void {
  if (decision === "deny") throw new Error(`the plugin was denied ${permission} ${value}`);
}

function guarded(level: IsolationLevel, hook: PluginHook | null): ModelHook {
  if (hook === null) throw new Error("the plugin made no hook");
  return guardHook({
    manifest: MANIFEST,
    rights: specOf().rights,
    module: MODULE,
    level,
    hook,
    tally: newTally(),
    audit: refuseDenials,
    modelInputs: [],
    modelOutputs: [],
  });
}

/** `isolation`: an observer in a realm of its own. */
export const isolationBench: Bench = {
  name: "isolation",
  description: "an observer of 4 MB activations in a worker and in a process, against in process",
  async run(context) {
    return [...await levelRows(context, "worker"), ...await levelRows(context, "process")];
  },
};

/** One level at a time: what another one's process still does would count against this one. */
async function levelRows(
  { rounds, log }: BenchContext,
  level: "worker" | "process",
): Promise<BenchRow[]> {
  log(`isolation: 4 MB, ${level}`);
  const data = Float32Array.from({ length: ELEMENTS }, (_, index) => Math.sin(index * 1.7) * 3);
  const outputs = { y: float32([1024, 1024], data) };
  await using hosted = level === "worker"
    ? await hostInWorker(specOf(), { unstableWorkerOptions: true })
    : await hostInProcess(specOf());
  const inline = await magnitude.createHook(MODULE, {
    env: {},
    options: null,
    log: () => {},
    openSink: () => {
      throw new Error("no files here");
    },
  });
  const hooks: Readonly<Record<string, Pick<ModelHook, "postForward">>> = {
    plain: { postForward: (call, given) => void inline?.postForward?.(call, given, null) },
    inline: guarded("inline", inline),
    hosted: guarded(level, await hosted.createHook(MODULE)),
  };
  const contestants = Object.entries(hooks).map(([name, hook]) => ({
    name,
    run: async () => void await hook.postForward?.(CALL, outputs, null),
  }));
  const found = await race(contestants, { rounds: rounds(150) });
  return [
    compareContestants(found, { ours: "hosted", peer: "inline" }, {
      name: `isolation.${level}4mb`,
      versus: "the same plugin at the level inline, on the same 4 MB",
      unit: "ms",
      ...(level === "worker" ? { target: { field: "upper" as const, limit: 1.5 } } : {}),
    }),
    compareContestants(found, { ours: "hosted", peer: "plain" }, {
      name: `isolation.${level}4mb_bare`,
      versus: "a plain call of its method, which reads the same 4 MB once, without any guard",
      unit: "ms",
    }),
  ];
}
