// `hookline plugin new NAME`: a plugin that works as it is. It passes `plugin check`, its own tests and
// `deno publish --dry-run`; the texts are in _plugin_template.ts.

import { existsSync, mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import type { Invocation } from "./_invocation.ts";
import { type PluginTemplate, templateFiles } from "./_plugin_template.ts";

/** What `hookline plugin new --json` prints. */
export interface PluginNewDocument {
  /** The folder, absolute. */
  readonly folder: string;
  /** The files in it. */
  readonly files: readonly string[];
  /** The package's name. */
  readonly package: string;
}

const NAME = /^(?:@([a-z0-9][a-z0-9-]{1,18}[a-z0-9])\/)?([a-z0-9][a-z0-9-]{0,56}[a-z0-9])$/;

/** The command. */
export function pluginNewCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("new")
    .description("Makes the folder of a new plugin, with a manifest, code, a test and a README.")
    .argument("<name>", "what it is called: trace-max, or @scope/trace-max")
    .addOption(
      new Option("--kind <kind>", "observer looks at outputs, transformer changes them")
        .choices(["observer", "transformer"])
        .default("observer"),
    )
    .option("--folder <path>", "where to make it; a folder of its name by default")
    .option("--json", "print one JSON document on standard output and nothing else")
    .action((given, { kind, folder }) => {
      const [, scope = "your-scope", name] = NAME.exec(given) ?? [];
      if (name === undefined) throw badName(given);
      const place = resolve(folder ?? name);
      requireEmpty(place);
      const files = templateFiles({
        scope,
        name,
        kind: kind as PluginTemplate["kind"],
        link: checkout(place),
      });
      write(place, files);
      const document: PluginNewDocument = {
        folder: place,
        files: Object.keys(files).sort(),
        package: `@${scope}/${name}`,
      };
      invocation.report({
        document,
        text: (style) =>
          [
            `${style.bold(document.package)} is in ${place}`,
            ...document.files.map((file) => `  ${file}`),
            `next: cd ${relative(".", place) || "."} && deno task test`,
          ].join("\n"),
      });
    });
}

function badName(given: string): HooklineError {
  return new HooklineError("CLI_USAGE", {
    message:
      `cannot make a plugin called "${given.slice(0, 100)}": wanted are 2 to 58 of a-z, 0-9 ` +
      'and "-", with a letter or digit at both ends, and a scope of 3 to 20 before it if you like',
    fix: "use a name such as trace-max or @your-scope/trace-max",
    details: { name: given.slice(0, 100) },
  });
}

function requireEmpty(place: string): void {
  let found: string[] = [place];
  try {
    found = existsSync(place) ? readdirSync(place) : [];
  } catch {
    // A file of this name, or a folder that may not be read, is in the way as well.
  }
  if (found.length === 0) return;
  throw new HooklineError("FILE_WRITE", {
    message: `cannot make a plugin in "${place}": there is something already`,
    fix: "name another folder with --folder",
    details: { file: place },
  });
}

function write(place: string, files: Readonly<Record<string, string>>): void {
  try {
    for (const [file, text] of Object.entries(files)) {
      const path = join(place, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { flag: "wx" });
    }
  } catch (cause) {
    throw new HooklineError("FILE_WRITE", {
      message: `cannot make a plugin in "${place}": ${causeText(cause)}`,
      fix: "check the folder, that you may write there, and the process's write permission",
      details: { file: place },
      cause,
    });
  }
}

/** The checkout that this program runs from, as seen from the plugin; null when it was installed. */
function checkout(place: string): string | null {
  if (!import.meta.url.startsWith("file:")) return null;
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  if (!existsSync(join(root, "deno.json")) || root.includes("node_modules")) return null;
  const from = realpathSync(existsSync(place) ? place : existing(place));
  const path = relative(
    existsSync(place) ? from : resolve(from, relative(existing(place), place)),
    root,
  );
  return path.startsWith(".") ? path : `./${path}`;
}

/** The nearest folder above that exists. */
function existing(path: string): string {
  return existsSync(path) ? path : existing(dirname(path));
}
