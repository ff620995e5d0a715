// The rules of a manifest that span several fields: what a kind may hook, which permissions go with
// which hooks, which texts are versions. The schema has passed before; nothing is read or loaded here.

import { isVersion, isVersionRange } from "./hook_api.ts";
import { isHashed } from "./integrity.ts";
import type { SchemaIssue } from "./manifest_schema.ts";
import type { DeclaredHook, PluginKind, PluginManifest } from "./plugin_manifest.ts";

/** The hooks that each kind may have. */
const KIND_HOOKS: Readonly<Record<PluginKind, readonly DeclaredHook[]>> = {
  observer: ["observe:raw", "observe:final", "pre", "error"],
  transformer: ["pre", "post", "error"],
  replacer: ["replace", "skip", "pre", "post", "error"],
  resident: ["load", "unload", "error"],
};

const OBSERVING: readonly DeclaredHook[] = ["observe:raw", "observe:final"];

/** What a hook needs to be granted, and what is useless without one of these hooks. */
const NEEDS: readonly (readonly [DeclaredHook, string])[] = [
  ["replace", "replace-forward"],
  ["skip", "skip-forward"],
  ["load", "manage-residency"],
  ["unload", "manage-residency"],
];

/** What contradicts itself in a manifest; empty when nothing does. */
export function manifestIssues(manifest: PluginManifest): readonly SchemaIssue[] {
  return [
    ...versionIssues(manifest),
    ...codeIssues(manifest),
    ...hookIssues(manifest),
    ...permissionIssues(manifest),
    ...orderIssues(manifest),
  ];
}

function versionIssues(manifest: PluginManifest): SchemaIssue[] {
  const issues: SchemaIssue[] = [];
  if (!isVersion(manifest.version)) {
    issues.push({
      pointer: "/version",
      message: `found "${manifest.version}", wanted is a version such as 1.2.0`,
    });
  }
  const ranges = [
    ["/apiVersion", manifest.apiVersion] as const,
    ...Object.entries(manifest.engines).map(([name, range]) =>
      [`/engines/${name}`, range] as const
    ),
  ];
  for (const [pointer, range] of ranges) {
    if (isVersionRange(range)) continue;
    issues.push({ pointer, message: `found "${range}", wanted is a range such as ^1.2.0` });
  }
  return issues;
}

function codeIssues({ main, kind, factory }: PluginManifest): SchemaIssue[] {
  const issues: SchemaIssue[] = [];
  if (!isHashed(main.slice(2))) {
    issues.push({
      pointer: "/main",
      message: `found "${main}", which no hash covers: nobody would see that it was changed`,
    });
  }
  if (kind === "resident" && factory === null) {
    issues.push({
      pointer: "/kind",
      message: "a resident plugin needs a factory: only a ModelHook can say where weights lie",
    });
  }
  return issues;
}

function hookIssues(manifest: PluginManifest): SchemaIssue[] {
  const { kind, hooks, factory } = manifest;
  const issues: SchemaIssue[] = [];
  // A factory may have observers beside its hooks, each of its own kind.
  const allowed = factory === null ? KIND_HOOKS[kind] : [...KIND_HOOKS[kind], ...OBSERVING];
  hooks.forEach((hook, index) => {
    const pointer = `/hooks/${index}`;
    if (hooks.indexOf(hook) !== index) issues.push({ pointer, message: `"${hook}" stands twice` });
    if (allowed.includes(hook)) return;
    issues.push({
      pointer,
      message: `found "${hook}", but ${a(kind)} may have ${allowed.join(", ")}`,
    });
  });
  if (factory === null && OBSERVING.every((hook) => hooks.includes(hook))) {
    issues.push({ pointer: "/hooks", message: "observe:raw and observe:final exclude each other" });
  }
  if (kind === "replacer" && !hooks.includes("replace")) {
    issues.push({ pointer: "/hooks", message: 'a replacer needs "replace"' });
  }
  const fires = hooks.some((hook) => hook !== "error" && hook !== "skip");
  if (!fires) issues.push({ pointer: "/hooks", message: "no hook that ever runs in a good call" });
  if (factory !== null && manifest.isolation !== "inline") {
    issues.push({
      pointer: "/isolation",
      message: `found "${manifest.isolation}", but a plugin with a factory runs inline only`,
    });
  }
  return issues;
}

function permissionIssues(manifest: PluginManifest): SchemaIssue[] {
  const { kind, hooks, permissions, optionalPermissions } = manifest;
  const issues: SchemaIssue[] = [];
  const all = [
    ...permissions.map(({ id }, index) => ({ id, pointer: `/permissions/${index}/id` })),
    ...optionalPermissions.map(({ id }, index) => ({
      id,
      pointer: `/optionalPermissions/${index}/id`,
    })),
  ];
  const seen = new Set<string>();
  for (const { id, pointer } of all) {
    if (seen.has(id)) issues.push({ pointer, message: `"${id}" is asked for twice` });
    seen.add(id);
    if (id === "write-activations" && (kind === "observer" || kind === "resident")) {
      issues.push({ pointer, message: `${a(kind)} does not write activations` });
    }
    const hook = NEEDS.filter(([, needed]) => needed === id).map(([hook]) => hook);
    if (hook.length > 0 && !hook.some((one) => hooks.includes(one))) {
      issues.push({ pointer, message: `"${id}" without the hook ${hook.join(" or ")}` });
    }
  }
  const scopes = permissions.flatMap((one, index) =>
    "modules" in one ? [{ modules: [...one.modules].sort().join(), index }] : []
  );
  const other = scopes.find(({ modules }) => modules !== scopes[0]?.modules);
  if (other !== undefined && manifest.factory === null) {
    issues.push({
      pointer: `/permissions/${other.index}/modules`,
      message: "all permissions of a plugin extend to the same modules; these are others",
    });
  }
  for (const [hook, id] of NEEDS) {
    if (!hooks.includes(hook) || seen.has(id)) continue;
    issues.push({ pointer: "/permissions", message: `"${hook}" needs the permission "${id}"` });
  }
  if (kind === "transformer" && !seen.has("write-activations")) {
    issues.push({ pointer: "/permissions", message: 'a transformer needs "write-activations"' });
  }
  return issues;
}

function orderIssues({ name, order, kind }: PluginManifest): SchemaIssue[] {
  const issues: SchemaIssue[] = [];
  for (const field of ["before", "after", "requires"] as const) {
    order[field].forEach((other, index) => {
      const pointer = `/order/${field}/${index}`;
      if (other === name) issues.push({ pointer, message: "a plugin cannot name itself" });
      else if (kind === "observer" && field !== "requires") {
        issues.push({ pointer, message: "observers stand outside the order" });
      }
    });
  }
  return issues;
}

function a(kind: PluginKind): string {
  return kind === "observer" ? "an observer" : `a ${kind}`;
}
