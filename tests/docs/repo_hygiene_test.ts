// What no committed file may hold: hosts of package registries (installs go through whatever the
// ordinary clients are set up for) and paths of the machine it was written on. The patterns are put
// together here from pieces, so that this file does not hold them either.

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { skippable, untilPresent } from "../skippable.ts";
import { ROOT } from "../suites.ts";

const dot = (...parts: readonly string[]) => parts.join(".");
const REGISTRY_HOSTS: readonly string[] = [
  dot("registry", "npmjs", "org"),
  dot("registry", "yarnpkg", "com"),
  dot("registry", "npmmirror", "com"),
  dot("deb", "debian", "org"),
  dot("static", "crates", "io"),
  dot("index", "crates", "io"),
  dot("files", "pythonhosted", "org"),
  dot("pypi", "org"),
  dot("proxy", "golang", "org"),
  dot("repo1", "maven", "org"),
  dot("repo", "maven", "apache", "org"),
];
const slash = (...parts: readonly string[]) => `/${parts.join("/")}/`;
const MACHINE_PATHS: readonly string[] = [slash("work", "main"), slash("work", "shared"), ROOT];
/** Also in text files; exporters leave such paths in models. */
const TEXT_PATHS: readonly string[] = [slash("root"), slash("home")];

const { stdout } = new Deno.Command("git", {
  args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
  cwd: ROOT,
}).outputSync();
const files = new TextDecoder().decode(stdout).split("\0")
  .filter((path) => path !== "" && existsSync(join(ROOT, path)))
  .filter((path) => statSync(join(ROOT, path)).isFile());

/** The host that npm is set up to use on this machine, unless it is the machine itself. */
function configuredHost(): string | undefined {
  try {
    const { stdout } = new Deno.Command("npm", { args: ["config", "get", "registry"] })
      .outputSync();
    const { hostname } = new URL(new TextDecoder().decode(stdout).trim());
    return /^(localhost|127\.|\[?::1)/.test(hostname) ? undefined : hostname;
  } catch {
    return undefined;
  }
}

function holding(patterns: readonly string[], textOnly: boolean): string[] {
  return files.flatMap((path) => {
    const content = readFileSync(join(ROOT, path), "latin1");
    if (textOnly && content.includes("\0")) return [];
    return patterns.filter((pattern) => content.includes(pattern))
      .map((pattern) => `${path} holds ${pattern}`);
  });
}

Deno.test("no file of the repo names a package registry's host", () => {
  assert.notEqual(files.length, 0);
  const own = configuredHost();
  assert.deepEqual(
    holding(own === undefined ? REGISTRY_HOSTS : [...REGISTRY_HOSTS, own], false),
    [],
  );
});

Deno.test("no file of the repo names a path of the machine it was written on", () => {
  assert.deepEqual(holding(MACHINE_PATHS, false), []);
  assert.deepEqual(holding(TEXT_PATHS, true), []);
});

Deno.test({
  ...skippable(
    "deno.lock is committed and holds no host",
    untilPresent("deno.lock", files.includes("deno.lock")),
  ),
  fn: () => assert.doesNotMatch(readFileSync(join(ROOT, "deno.lock"), "utf8"), /https?:\/\//),
});

Deno.test("LICENSE is the Apache License 2.0 that deno.json names", () => {
  const { license } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const text = readFileSync(join(ROOT, "LICENSE"), "utf8");
  assert.equal(license, "Apache-2.0");
  assert.match(text, /Apache License\s+Version 2\.0, January 2004/);
  assert.match(text, /END OF TERMS AND CONDITIONS/);
});
