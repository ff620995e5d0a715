// `hookline plugin grant PLUGIN`: writes into the application's file of grants that this plugin, as it is
// now, may do what it asks for. It loads no code.

import {
  Command,
  type CommandUnknownOpts,
  InvalidArgumentError,
  Option,
} from "@commander-js/extra-typings";
import { grantRequested, PERMISSION_IDS, readGrants, writeGrants } from "../manifest/grants.ts";
import { checkIntegrity } from "../manifest/integrity.ts";
import { locatePlugin } from "../manifest/locate_plugin.ts";
import { grantText, type PermissionId } from "../manifest/permission_scope.ts";
import type { Budgets } from "../manifest/plugin_manifest.ts";
import { readManifest } from "../manifest/read_manifest.ts";
import type { Style } from "./_console.ts";
import type { Invocation } from "./_invocation.ts";
import { budgetsText, lockOption } from "./_plugin_options.ts";
import { plural } from "./_units.ts";

/** What `hookline plugin grant --json` prints. */
export interface PluginGrantDocument {
  /** The plugin. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** What it may do now, with its own reasons. */
  readonly granted: readonly { readonly permission: string; readonly reason: string }[];
  /** What it may use at most, by its own word; absent bounds are none. */
  readonly budgets: Budgets;
  /** What it may never do. */
  readonly denied: readonly string[];
  /** The file that says so. */
  readonly lock: string;
}

interface GrantValues {
  readonly deny?: readonly PermissionId[];
  readonly optional?: boolean;
  readonly by: string;
  readonly lock: string;
}

function permissions(text: string, before: readonly PermissionId[] | undefined): PermissionId[] {
  const known = PERMISSION_IDS.find((id) => id === text);
  if (known !== undefined) return [...before ?? [], known];
  throw new InvalidArgumentError(`Allowed choices are ${PERMISSION_IDS.join(", ")}.`);
}

/** The command. */
export function pluginGrantCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("grant")
    .description("Grants a plugin what it asks for, and vouches for its files as they are now.")
    .argument("<plugin>", "a folder, or an npm: or jsr: package")
    .addOption(
      new Option("--deny <permission>", "a permission that it does not get; repeatable")
        .argParser(permissions),
    )
    .option("--optional", "grant what it can do without as well")
    .option("--by <name>", "who grants", "application")
    .addOption(lockOption())
    .option("--json", "print one JSON document on standard output and nothing else")
    .action(async (specifier, values) => {
      const { deny = [], optional = false, by, lock: lockFile } = values as unknown as GrantValues;
      const folder = readManifest(await locatePlugin(specifier));
      const { manifest } = folder;
      // What its own manifest calls tampered with is not vouched for.
      checkIntegrity(folder, { allowUnsigned: true });
      const grants = grantRequested(folder, readGrants(lockFile), {
        deny,
        by,
        source: specifier,
        withOptional: optional,
      });
      writeGrants(grants, lockFile);
      const asked = [...manifest.permissions, ...(optional ? manifest.optionalPermissions : [])];
      const document: PluginGrantDocument = {
        name: manifest.name,
        version: manifest.version,
        granted: asked
          .filter(({ id }) => !deny.includes(id))
          .map((one) => ({ permission: grantText(one), reason: one.reason })),
        budgets: manifest.budgets,
        denied: deny,
        lock: lockFile,
      };
      invocation.report({ document, text: (style) => grantedText(document, style) });
    });
}

function grantedText(document: PluginGrantDocument, style: Style): string {
  const { name, version, granted, budgets, denied, lock } = document;
  return [
    `${style.bold(`${name} ${version}`)}: ${
      plural(granted.length, "permission")
    } granted in ${lock}`,
    ...granted.map(({ permission, reason }) => `  ${permission}: ${reason}`),
    ...budgetsText(budgets),
    ...denied.map((permission) => `  ${style.yellow("denied")} ${permission}`),
  ].join("\n");
}
