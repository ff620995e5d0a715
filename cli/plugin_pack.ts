// `hookline plugin pack TARBALL`: makes a package for npm of what `deno pack` made of a plugin. There the
// code is JavaScript, so the manifest must name and sign other files than in the source; and Hookline is
// declared as a peer, so that an application and its plugins share one.

import { readFileSync } from "node:fs";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { hashContents, isHashed } from "../manifest/integrity.ts";
import { parseManifest } from "../manifest/read_manifest.ts";
import type { Invocation } from "./_invocation.ts";
import { readTarball, replaceInTarball } from "./_npm_tarball.ts";
import { writeOutput } from "./_output_file.ts";
import { plural } from "./_units.ts";
import { VERSION } from "./_version.ts";

/** What `hookline plugin pack --json` prints. */
export interface PluginPackDocument {
  /** The tarball, changed in place. */
  readonly tarball: string;
  /** The plugin. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** The module that its manifest names now. */
  readonly main: string;
  /** The files that its manifest signs. */
  readonly signed: readonly string[];
  /** The version range of Hookline that it declares. */
  readonly peer: string;
}

const CORE = "@hookline/hookline";
const ROOT = "package/";

/** The command. */
export function pluginPackCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("pack")
    .description("Signs a tarball that `deno pack` made of a plugin, for npm.")
    .argument("<tarball>", "the .tgz file; it is changed in place")
    .option("--peer <range>", "versions of Hookline that it works with", `^${VERSION}`)
    .option("--json", "print one JSON document on standard output and nothing else")
    .action((path, { peer }) => {
      const { bytes, files } = openTarball(path);
      const manifest = fieldsOf(files, "plugin.json", path);
      const code = new Map(
        [...files].map(([name, content]) => [name.slice(ROOT.length), content] as const)
          .filter(([name]) => isHashed(name)),
      );
      const main = builtMain(String(manifest["main"]), code, path);
      const hashes = hashContents(code);
      const changed = { ...manifest, main, integrity: hashes.files };
      const { name, version } = parseManifest(changed, `${path}: plugin.json`);
      const npm = fieldsOf(files, "package.json", path);
      const dependencies = { ...npm["dependencies"] as Record<string, string> | undefined };
      delete dependencies[CORE];
      const peers = { ...npm["peerDependencies"] as object | undefined, [CORE]: peer };
      const { dependencies: _, ...others } = npm;
      const contents = new Map([
        [`${ROOT}plugin.json`, encoded(changed)],
        [
          `${ROOT}package.json`,
          encoded({
            ...others,
            ...(Object.keys(dependencies).length === 0 ? {} : { dependencies }),
            peerDependencies: peers,
          }),
        ],
      ]);
      writeOutput(path, replaceInTarball(bytes, contents));
      const signed = Object.keys(hashes.files);
      const document: PluginPackDocument = { tarball: path, name, version, main, signed, peer };
      invocation.report({
        document,
        text: (style) =>
          `${style.bold(`${name} ${version}`)} in ${path}: ${
            plural(signed.length, "file")
          } signed, ` +
          `${CORE} ${peer} is its peer`,
      });
    });
}

function openTarball(path: string): { bytes: Uint8Array; files: Map<string, Uint8Array> } {
  try {
    const bytes = readFileSync(path);
    return { bytes, files: readTarball(bytes) };
  } catch (cause) {
    throw new HooklineError(cause instanceof RangeError ? "FILE_FORMAT" : "FILE_READ", {
      message: `cannot read the tarball "${path}": ${causeText(cause)}`,
      fix: "make one with `deno pack` in the plugin's folder",
      details: { file: path },
      cause,
    });
  }
}

function fieldsOf(
  files: ReadonlyMap<string, Uint8Array>,
  name: string,
  path: string,
): Record<string, unknown> {
  try {
    const text = new TextDecoder().decode(files.get(ROOT + name) as Uint8Array);
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new HooklineError("FILE_FORMAT", {
      message: `cannot use the tarball "${path}": it holds no ${name} that is JSON`,
      fix: name === "plugin.json"
        ? 'export it: "./plugin.json": "./plugin.json" in the exports of deno.json'
        : "make one with `deno pack` in the plugin's folder",
      details: { file: path },
      cause,
    });
  }
}

/** The JavaScript that was made of the main module. */
function builtMain(main: string, code: ReadonlyMap<string, Uint8Array>, path: string): string {
  const built = main.replace(/\.[mc]?tsx?$/, ".js");
  if (code.has(built.replace(/^\.\//, ""))) return built;
  throw new HooklineError("FILE_FORMAT", {
    message: `cannot use the tarball "${path}": it holds no ${built}`,
    fix: `export ${main} in the exports of deno.json`,
    details: { file: path, main },
  });
}

function encoded(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
