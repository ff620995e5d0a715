// `hookline plugin list`: what the application granted, and how each plugin stands to it today. It loads no
// code; a plugin that cannot be found any more is listed as missing.

import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { type Grants, type PluginGrant, readGrants } from "../manifest/grants.ts";
import { checkIntegrity } from "../manifest/integrity.ts";
import { locatePlugin } from "../manifest/locate_plugin.ts";
import { grantText } from "../manifest/permission_scope.ts";
import { readManifest } from "../manifest/read_manifest.ts";
import { resolveRights } from "../manifest/resolve_rights.ts";
import type { Style } from "./_console.ts";
import type { Invocation } from "./_invocation.ts";
import { lockOption } from "./_plugin_options.ts";

/** What `hookline plugin list --json` prints. */
export interface PluginListDocument {
  /** The file of grants. */
  readonly lock: string;
  /** By name. */
  readonly plugins: readonly {
    /** The plugin. */
    readonly name: string;
    /** The version that was granted. */
    readonly version: string;
    /** Where it was found. */
    readonly source: string | null;
    /** What it may do. */
    readonly granted: readonly string[];
    /** What it may never do. */
    readonly denied: readonly string[];
    /** When. */
    readonly grantedAt: string;
    /** By whom. */
    readonly grantedBy: string;
    /** `granted` or `upgraded` when it would load, else the code of the error that loading ends with. */
    readonly state: string;
  }[];
}

/** The command. */
export function pluginListCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("list")
    .description(
      "Lists the plugins that were granted something, and whether they would load today.",
    )
    .addOption(lockOption())
    .option("--json", "print one JSON document on standard output and nothing else")
    .action(async ({ lock }) => {
      const lockFile = String(lock);
      const grants = readGrants(lockFile);
      const plugins: PluginListDocument["plugins"][number][] = [];
      for (const [name, grant] of Object.entries(grants.plugins)) {
        const { version, source, granted, denied, grantedAt, grantedBy } = grant;
        plugins.push({
          name,
          version,
          source,
          granted: granted.map(grantText),
          denied,
          grantedAt,
          grantedBy,
          state: await stateOf(grant, grants),
        });
      }
      const document: PluginListDocument = { lock: lockFile, plugins };
      invocation.report({ document, text: (style) => listText(document, style) });
    });
}

async function stateOf(grant: PluginGrant, grants: Grants): Promise<string> {
  if (grant.source === null) return "unknown";
  try {
    const folder = readManifest(await locatePlugin(grant.source));
    resolveRights(folder, { grants });
    return checkIntegrity(folder, { grant }).state;
  } catch (error) {
    if (error instanceof HooklineError) return error.code;
    throw error;
  }
}

function listText({ lock, plugins }: PluginListDocument, style: Style): string {
  if (plugins.length === 0) return `nothing is granted in ${lock}`;
  return plugins.flatMap(({ name, version, granted, denied, grantedAt, grantedBy, state }) => [
    `${style.bold(`${name} ${version}`)}: ${
      /^[a-z]/.test(state) ? style.green(state) : style.red(state)
    }, granted by ${grantedBy} at ${grantedAt}`,
    ...granted.map((permission) => `  ${permission}`),
    ...denied.map((permission) => `  ${style.yellow("denied")} ${permission}`),
  ]).join("\n");
}
