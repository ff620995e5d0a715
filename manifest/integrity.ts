// Whether a plugin's files are the ones that somebody vouched for: its author in the manifest, or the
// application when it granted. It compares hashes; what was granted is none of its business. Three states
// are told apart: intact, modified, and unsigned, where nobody ever said what the files should be.

import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HooklineError } from "../errors/hookline_error.ts";
import type { PluginGrant } from "./grants.ts";
import type { PluginFolder } from "./read_manifest.ts";

/** Hashes of a plugin's files. */
export interface CodeHashes {
  /** `sha256-` and the hash in base64 by path (`./mod.ts`), sorted: what `integrity` in a manifest holds. */
  readonly files: Readonly<Record<string, string>>;
  /** One sha256 over all of it, in hex. */
  readonly codeSha256: string;
}

/** What vouches for the files. */
export type IntegrityState = "signed" | "granted" | "upgraded" | "unsigned";

/** Names that say nothing about what the plugin does when it runs; tarballs are what `deno pack` leaves. */
const NOT_CODE =
  /^(.*\.md|licen[cs]e(\..*)?|deno\.jsonc?|deno\.lock|package(-lock)?\.json|(.*\.)?plugin\.json|hookline\.lock\.json|.*\.tgz|.*[._]test\.[cm]?[jt]sx?)$/i;
const NOT_CODE_FOLDERS: readonly string[] = ["node_modules", "tests", "test", "coverage"];
const FILES_MAX = 10_000;

/**
 * Hashes every file of a plugin but its manifest, documentation, tests, configuration and hidden files.
 *
 * @throws {HooklineError} HOOK_INTEGRITY_MODIFIED for a link: what it leads to could change unseen.
 */
export function hashFiles(root: string, plugin: string): CodeHashes {
  return hashContents(
    new Map(listFiles(root, plugin).map((path) => [path, readFileSync(join(root, path))])),
  );
}

/** {@linkcode hashFiles} of contents by path (`mod.ts`), each of which {@linkcode isHashed}. */
export function hashContents(contents: ReadonlyMap<string, Uint8Array>): CodeHashes {
  const files: Record<string, string> = {};
  const total = createHash("sha256");
  for (const path of [...contents.keys()].sort()) {
    const hash = createHash("sha256").update(contents.get(path) as Uint8Array).digest("base64");
    files[`./${path}`] = `sha256-${hash}`;
    total.update(`./${path}\0${hash}\n`);
  }
  return { files, codeSha256: total.digest("hex") };
}

/** Whether a file of a plugin, by its path (`lib/a.ts`), is one that hashes cover. */
export function isHashed(path: string): boolean {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  return !NOT_CODE.test(name) && !name.startsWith(".") &&
    parts.every((part) => !part.startsWith(".") && !NOT_CODE_FOLDERS.includes(part));
}

function listFiles(root: string, plugin: string): string[] {
  const found: string[] = [];
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      const path = folder === "" ? name : `${folder}/${name}`;
      const stat = lstatSync(join(root, path));
      if (stat.isDirectory()) {
        if (isHashed(`${path}/x`)) folders.push(path);
      } else if (!isHashed(path)) continue;
      else if (stat.isFile() && found.length < FILES_MAX) found.push(path);
      else throw modified(plugin, [`./${path}`], "is a link, or one file too many");
    }
  }
  return found;
}

/**
 * Checks a plugin's files against its manifest and against what was granted.
 *
 * @returns What vouches for the files: `signed` by the manifest alone, `granted` as they were granted,
 * `upgraded` when another version was granted and this one's manifest signs its files.
 * @throws {HooklineError} HOOK_INTEGRITY_MODIFIED when a file differs, is missing or too many, or the
 * manifest changed under the version that was granted; HOOK_INTEGRITY_UNSIGNED when neither the manifest
 * nor a grant says what the files should be, unless `allowUnsigned`.
 */
export function checkIntegrity(
  { root, manifest, manifestSha256 }: PluginFolder,
  { grant, allowUnsigned = false }: {
    readonly grant?: PluginGrant | undefined;
    readonly allowUnsigned?: boolean;
  } = {},
): { readonly state: IntegrityState; readonly hashes: CodeHashes } {
  const hashes = hashFiles(root, manifest.name);
  if (manifest.integrity !== null) {
    const changed = difference(manifest.integrity, hashes.files);
    if (changed.length > 0) throw modified(manifest.name, changed, "differs from the manifest");
  }
  const granted = grant !== undefined && grant.codeSha256 !== null;
  if (granted && grant.version === manifest.version) {
    if (grant.manifestSha256 !== manifestSha256) {
      throw modified(manifest.name, ["./plugin.json"], `differs from ${grant.version} as granted`);
    }
    if (grant.codeSha256 !== hashes.codeSha256) {
      throw modified(manifest.name, [], `differ from ${grant.version} as granted`);
    }
    return { state: "granted", hashes };
  }
  if (manifest.integrity !== null) return { state: granted ? "upgraded" : "signed", hashes };
  if (allowUnsigned) return { state: "unsigned", hashes };
  throw new HooklineError("HOOK_INTEGRITY_UNSIGNED", {
    message: `cannot load ${manifest.name} ${manifest.version}: ${
      granted
        ? `${grant.version} was granted, and its manifest does not sign the files of this version`
        : "its manifest has no integrity and nobody granted it"
    }`,
    fix: `read its code, then run \`hookline plugin grant ${root}\``,
    details: { plugin: manifest.name, version: manifest.version },
  });
}

/**
 * Checks, right before its code is loaded, that a plugin's files are still those that were checked.
 *
 * @throws {HooklineError} HOOK_INTEGRITY_MODIFIED.
 */
export function requireUnchanged({ root, manifest }: PluginFolder, codeSha256: string): void {
  if (hashFiles(root, manifest.name).codeSha256 === codeSha256) return;
  throw modified(manifest.name, [], "changed since they were checked");
}

/** Paths whose hash differs or that only one side has. */
function difference(
  wanted: Readonly<Record<string, string>>,
  found: Readonly<Record<string, string>>,
): string[] {
  return [...new Set([...Object.keys(wanted), ...Object.keys(found)])]
    .filter((path) => wanted[path] !== found[path])
    .sort();
}

function modified(plugin: string, files: readonly string[], how: string): HooklineError {
  const shown = files.length === 0 ? "its files" : files.slice(0, 3).join(", ");
  return new HooklineError("HOOK_INTEGRITY_MODIFIED", {
    message: `cannot load ${plugin}: ${shown} ${how}`,
    fix:
      `install ${plugin} anew; if the change is yours, run \`hookline plugin check --sign\` and ` +
      "`hookline plugin grant` on its folder",
    details: { plugin, files: files.slice(0, 20) },
  });
}
