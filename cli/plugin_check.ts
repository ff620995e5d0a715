// `hookline plugin check FOLDER`: everything that can be said of a plugin before it is published or
// granted. With --sign it writes the hashes of the files into the manifest.

import { readFileSync } from "node:fs";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { hashFiles } from "../manifest/integrity.ts";
import { locatePlugin } from "../manifest/locate_plugin.ts";
import type { Budgets, IsolationLevel } from "../manifest/plugin_manifest.ts";
import type { PluginOptions } from "../manifest/plugin_module.ts";
import { grantText } from "../manifest/permission_scope.ts";
import { openManifest, type PluginFolder } from "../manifest/read_manifest.ts";
import { checkPlugin, type PluginFinding } from "../pipeline/check_plugin.ts";
import type { Style } from "./_console.ts";
import type { Invocation } from "./_invocation.ts";
import { writeOutput } from "./_output_file.ts";
import { budgetsText, jsonOf } from "./_plugin_options.ts";
import { plural } from "./_units.ts";

/** What `hookline plugin check --json` prints. */
export interface PluginCheckDocument {
  /** `good` when no finding is an error. */
  readonly status: "good" | "bad";
  /** Everything that was found, errors first. */
  readonly findings: readonly PluginFinding[];
  /** The plugin's name; null when the manifest cannot be read. */
  readonly name: string | null;
  /** Its version. */
  readonly version: string | null;
  /** What it asks for, with its reasons. */
  readonly permissions: readonly { readonly permission: string; readonly reason: string }[];
  /** What it may use at most, by its own word; null when the manifest cannot be read. */
  readonly budgets: Budgets | null;
  /** Whether the manifest was signed by this call. */
  readonly signed: boolean;
}

/** The command. */
export function pluginCheckCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("check")
    .description("Checks a plugin's manifest, files, imports and hooks.")
    .argument("<plugin>", "a folder, or an npm: or jsr: package")
    .addOption(
      new Option("--level <level>", "where its code is loaded to see which hooks it makes")
        .choices(["inline", "worker", "process"])
        .default("worker"),
    )
    .option("--no-load", "look at the files only")
    .addOption(
      new Option("--options <json>", "what the plugin is given as host.options").argParser(jsonOf),
    )
    .option("--sign", "write the hashes of its files into the manifest first")
    .option("--json", "print one JSON document on standard output and nothing else")
    .action(async (specifier, { level, load, options, sign }) => {
      const place = await locatePlugin(specifier);
      if (sign === true) signManifest(place);
      const check = await checkPlugin(place, {
        level: load ? level as IsolationLevel : null,
        options: options as PluginOptions ?? null,
        // The task and the installed program run with the flag; see deno.json and the README.
        unstableWorkerOptions: true,
      });
      const document = documentOf(check, sign === true);
      invocation.report({
        document,
        text: (style) => checkText(document, style),
        status: check.status === "good" ? 0 : 1,
      });
    });
}

function documentOf(
  { status, findings, folder }: {
    readonly status: "good" | "bad";
    readonly findings: readonly PluginFinding[];
    readonly folder: PluginFolder | null;
  },
  signed: boolean,
): PluginCheckDocument {
  const manifest = folder?.manifest;
  return {
    status,
    findings,
    name: manifest?.name ?? null,
    version: manifest?.version ?? null,
    permissions: (manifest?.permissions ?? []).map((one) => ({
      permission: grantText(one),
      reason: one.reason,
    })),
    budgets: manifest?.budgets ?? null,
    signed,
  };
}

/** Replaces `integrity` and leaves every other field, and their order, as they were. */
function signManifest(place: string): void {
  const { root, manifestPath, manifest } = openManifest(place);
  const { files } = hashFiles(root, manifest.name);
  const fields = JSON.parse(readFileSync(manifestPath, "utf8")) as Record<string, unknown>;
  fields["integrity"] = files;
  writeOutput(manifestPath, new TextEncoder().encode(`${JSON.stringify(fields, null, 2)}\n`));
}

function checkText(document: PluginCheckDocument, style: Style): string {
  const { status, name, version, findings, permissions, budgets, signed } = document;
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const title = name === null ? "The manifest cannot be used" : `${name} ${version}`;
  return [
    `${style.bold(title)}: ${
      status === "good" ? style.green("good") : style.red(plural(errors, "error"))
    }${signed ? ", signed" : ""}`,
    ...permissions.map(({ permission, reason }) => `  asks for ${permission}: ${reason}`),
    ...budgetsText(budgets ?? {}),
    ...findings.map(({ severity, code, pointer, message }) =>
      `  ${severity === "error" ? style.red("error") : style.yellow("warning")} ${code}${
        pointer === "" ? "" : ` at ${pointer}`
      }: ${message}`
    ),
  ].join("\n");
}
