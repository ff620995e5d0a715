// The least that `deno run` must grant to a pipeline: for ONNX Runtime, for its models, and for what its
// plugins were granted. Pure: paths in, flags out.

import type { EffectiveRights } from "./effective_rights.ts";
import type { IsolationLevel } from "./plugin_manifest.ts";

/** A plugin of the pipeline. */
export interface FlaggedPlugin {
  /** Real path of its folder. */
  readonly root: string;
  /** What it may do. */
  readonly rights: EffectiveRights;
  /** Where it runs. */
  readonly level: IsolationLevel;
}

/** What a pipeline consists of. */
export interface FlagRequest {
  /** Folder of ONNX Runtime's native library, or null when it cannot be told. */
  readonly ortFolder: string | null;
  /** Files and folders that the application reads: models with their weights, the file of grants. */
  readonly reads: readonly string[];
  /** Files and folders that the application writes. */
  readonly writes: readonly string[];
  /** Its plugins. */
  readonly plugins: readonly FlaggedPlugin[];
  /** What plugins in processes of their own need: programs to start, and a folder for what they tried. */
  readonly processes: { readonly programs: readonly string[]; readonly folder: string };
}

/** The flags, sorted, each path once. */
export function runFlags(request: FlagRequest): readonly string[] {
  const { plugins, processes } = request;
  const hasProcess = plugins.some(({ level }) => level === "process");
  const record = hasProcess ? [processes.folder] : [];
  const all = (pick: (rights: EffectiveRights) => readonly string[]): string[] =>
    plugins.flatMap(({ rights }) => pick(rights));
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ["--allow-env", ["ORT_DISABLE_TELEMETRY", ...all((rights) => rights.env)]],
    ["--allow-ffi", request.ortFolder === null ? [] : [request.ortFolder]],
    ["--allow-net", all((rights) => rights.net)],
    [
      "--allow-read",
      [
        ...request.reads,
        ...record,
        ...plugins.map(({ root }) => root),
        ...all((rights) => [
          ...rights.fsRead,
          // A sink's folder is looked at before it is written to, so that no link leads out of it.
          ...rights.fsWrite,
        ]),
      ],
    ],
    ["--allow-run", hasProcess ? processes.programs : []],
    ["--allow-write", [...request.writes, ...record, ...all((rights) => rights.fsWrite)]],
  ];
  return [
    "--no-prompt",
    ...lists.flatMap(([flag, values]) => {
      const listed = [...new Set(values)].sort();
      return listed.length === 0 ? [] : [`${flag}=${listed.map(escaped).join(",")}`];
    }),
    ...(request.ortFolder === null ? ["--allow-ffi"] : []),
    ...(plugins.some(({ level }) => level === "worker") ? ["--unstable-worker-options"] : []),
  ];
}

/** A comma separates values, so one inside a value is doubled. */
function escaped(value: string): string {
  return value.replaceAll(",", ",,");
}
