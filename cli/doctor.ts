// `hookline doctor`: whether Hookline can work here, and what to do where it cannot. Every check says
// what it found; one that fails does not keep the others from being made.

import process from "node:process";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import type { Engine } from "../sessions/engine.ts";
import { chooseEngine } from "../sessions/engine_choice.ts";
import { NapiEngine } from "../sessions/napi_engine.ts";
import type { NativeEngine } from "../sessions/native/native_engine.ts";
import type { OrtReport } from "../sessions/ort_loader.ts";
import { PROVIDER_NAMES, providerDescriptor } from "../sessions/provider.ts";
import type { ProviderName } from "../sessions/providers/descriptor.ts";
import { openSessions } from "../sessions/session_ledger.ts";
import type { Style } from "./_console.ts";
import { IS_DENO } from "./_environment.ts";
import type { Invocation } from "./_invocation.ts";
import { selfTest } from "./_self_test.ts";
import { plural } from "./_units.ts";
import { VERSION } from "./_version.ts";

/** How a check ended. */
export type CheckStatus = "ok" | "warn" | "fail";

/** One check. */
export interface Check {
  /** What was checked. */
  readonly name: string;
  /** `"warn"` for something that is missing and that much works without. */
  readonly status: CheckStatus;
  /** What was found. */
  readonly detail: string;
  /** What to do; null when there is nothing to do. */
  readonly fix: string | null;
}

/** What `hookline doctor --json` prints. */
export interface DoctorDocument {
  /** The worst of the checks. */
  readonly status: CheckStatus;
  /** The checks in the order in which they were made. */
  readonly checks: readonly Check[];
}

/** The versions that Hookline is made with. */
const MADE_WITH = { deno: [2, 9], node: [24, 0] } as const;

/** The command. */
export function doctorCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("doctor")
    .description(
      "Checks versions, permissions, telemetry, the execution providers and the engine. " +
        "Ends with status 1 when a check fails.",
    )
    .option("--json", "print one JSON document on standard output and nothing else")
    .action(async () => {
      const checks = await makeChecks((what) => invocation.progress(what));
      const statuses = checks.map((check) => check.status);
      const status = statuses.includes("fail") ? "fail" : statuses.includes("warn") ? "warn" : "ok";
      invocation.report({
        document: { status, checks } satisfies DoctorDocument,
        text: (style) => doctorText(checks, style),
        status: status === "fail" ? 1 : 0,
      });
    });
}

async function makeChecks(onProgress: (what: string) => void): Promise<Check[]> {
  const checks: Check[] = [
    { name: "hookline", status: "ok", detail: `version ${VERSION}`, fix: null },
    runtimeCheck(),
    ...permissionChecks(),
  ];
  onProgress("loading onnxruntime-node");
  const native = await nativeCheck(); // first: who opens a session first decides about shared threads
  const report = await found(() => new NapiEngine().report());
  checks.push(...engineChecks(report), native);
  const { engine } = await chooseEngine("auto");
  const isLoaded = !(report instanceof HooklineError);
  for (const name of PROVIDER_NAMES) {
    onProgress(`probing ${name}`);
    checks.push(
      isLoaded
        ? await providerCheck(name, engine)
        : failed(`provider ${name}`, "there is no engine to run it", null, "warn"),
    );
  }
  onProgress("testing the engine");
  checks.push(await selfTestCheck());
  checks.push(ledgerCheck());
  return checks;
}

function runtimeCheck(): Check {
  const [name, version, wanted] = IS_DENO
    ? ["deno", Deno.version.deno, MADE_WITH.deno]
    : ["node", process.versions.node, MADE_WITH.node];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < wanted[0] || (major === wanted[0] && minor < wanted[1]);
  return {
    name,
    status: isOld ? "warn" : "ok",
    detail: `version ${version} on ${process.platform} ${process.arch}`,
    fix: isOld ? `use ${name} ${wanted.join(".")} or newer` : null,
  };
}

/** What Deno grants. Node grants everything. */
function permissionChecks(): Check[] {
  if (!IS_DENO) return [];
  const needs = [
    { name: "read", status: "warn", why: "models and inputs are read", query: { name: "read" } },
    { name: "write", status: "ok", why: "results can be kept in files", query: { name: "write" } },
    { name: "ffi", status: "warn", why: "ONNX Runtime is native code", query: { name: "ffi" } },
    {
      name: "env",
      status: "ok",
      why: "telemetry can be switched off from inside",
      query: { name: "env", variable: "ORT_DISABLE_TELEMETRY" },
    },
  ] as const;
  return needs.map(({ name, status, why, query }) => {
    const { state } = Deno.permissions.querySync(query as Deno.PermissionDescriptor);
    const isGranted = state === "granted";
    const flag = name === "env" ? "--allow-env=ORT_DISABLE_TELEMETRY" : `--allow-${name}`;
    // A grant for one path or library does not show here, and may be all that is needed.
    return {
      name: `permission ${name}`,
      status: isGranted ? "ok" : status,
      detail: isGranted ? `granted: ${why}` : `not granted in general: ${why} with it`,
      fix: isGranted ? null : `run with ${flag}, or with ${flag}=PATH for what you use`
        .replace(/, or with --allow-env=.*/, ""),
    };
  });
}

function engineChecks(report: OrtReport | HooklineError): Check[] {
  const name = "onnxruntime-node";
  if (report instanceof HooklineError) return [failed(name, report.message, report.fix)];
  const [telemetry, ...advice] = report.telemetry.split("; ");
  const isOff = report.telemetry === "off";
  return [
    {
      name,
      status: "ok",
      detail: `version ${report.version} in ${report.libraryFolder ?? "a folder that is not told"}`,
      fix: null,
    },
    {
      name: "telemetry",
      status: isOff ? "ok" : "warn",
      detail: isOff ? "switched off before ONNX Runtime was loaded" : telemetry ?? "",
      fix: isOff ? null : advice.join("; "),
    },
  ];
}

/** The engine that `auto` prefers. Without it everything works with the other one. */
async function nativeCheck(): Promise<Check> {
  const name = "native engine";
  const report = await found(async () => {
    const { engine } = await chooseEngine("native");
    return await (engine as NativeEngine).report();
  });
  if (report instanceof HooklineError) {
    return failed(name, `${report.message}; auto takes napi`, report.fix, "warn");
  }
  const { version, poolThreads } = report;
  const threads = poolThreads === null
    ? "each session has threads of its own"
    : `all sessions share ${plural(poolThreads, "thread")}`;
  return { name, status: "ok", detail: `version ${version}, auto takes it; ${threads}`, fix: null };
}

async function providerCheck(provider: ProviderName, engine: Engine): Promise<Check> {
  const name = `provider ${provider}`;
  const probed = await found(() => providerDescriptor(provider).probe(engine, { byName: true }));
  if (probed instanceof HooklineError) return failed(name, probed.message, probed.fix);
  return probed.available
    ? { name, status: "ok", detail: probed.detail, fix: null }
    : failed(name, probed.reason, probed.fix, "warn");
}

async function selfTestCheck(): Promise<Check> {
  const name = "engine self-test";
  const tested = await found(selfTest);
  if (tested instanceof HooklineError) return failed(name, tested.message, tested.fix);
  return tested.status === "exact"
    ? {
      name,
      status: "ok",
      detail: `a tiny model gives the same bits whole, with ${plural(tested.tapped.taps, "tap")} ` +
        `and in ${plural(tested.split.segments, "segment")}`,
      fix: null,
    }
    : failed(
      name,
      `a tiny model differs: ${tested.tapped.bitsDiffering} bits tapped, ` +
        `${tested.split.bitsDiffering} bits split`,
      "report it with this document",
    );
}

/** Everything that the checks opened must be closed again. */
function ledgerCheck(): Check {
  const open = openSessions();
  const name = "session ledger";
  return open.length === 0
    ? { name, status: "ok", detail: "no session is left open", fix: null }
    : failed(
      name,
      `left open: ${open.map((session) => session.label).join(", ")}`,
      "report it with this document",
    );
}

function failed(
  name: string,
  detail: string,
  fix: string | null,
  status: CheckStatus = "fail",
): Check {
  return { name, status, detail, fix };
}

/** What a step gives, or the coded error that it ends with. */
async function found<Value>(step: () => Promise<Value>): Promise<Value | HooklineError> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof HooklineError) return error;
    throw error;
  }
}

function doctorText(checks: readonly Check[], style: Style): string {
  const width = Math.max(...checks.map((check) => check.name.length));
  const colors = { ok: style.green, warn: style.yellow, fail: style.red };
  return checks.flatMap(({ name, status, detail, fix }) => [
    `${colors[status](status.padEnd(4))}  ${name.padEnd(width)}  ${detail}`,
    ...(fix === null ? [] : [`${" ".repeat(width + 8)}fix: ${fix}`]),
  ]).join("\n");
}
