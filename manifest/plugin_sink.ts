// Files that a plugin writes, opened by the host below the folder that was granted, at every level of
// isolation. Invariant: no name, link or folder of the plugin's making leads out of that folder or to a
// file of grants, and no more is written than the budget.

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  realpathSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import type { Audit } from "./audit.ts";
import { type EffectiveRights, LOCK_FILE } from "./effective_rights.ts";
import type { PluginSink } from "./plugin_module.ts";

/** Where sinks of one plugin are opened. */
export interface SinkContext {
  readonly rights: EffectiveRights;
  readonly audit: Audit;
  /** Bytes that all sinks of the plugin may write together; no bound when left out. */
  readonly outputBytes?: number | undefined;
}

const NAME_MAX = 1000;

/** Opens files of one plugin; all of them share its budget. */
export class SinkFolder implements Disposable {
  readonly #context: SinkContext;
  readonly #open = new Set<PluginSink>();
  #writtenBytes = 0;

  /** Opens nothing yet. */
  constructor(context: SinkContext) {
    this.#context = context;
  }

  /** How much was written, in bytes. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /**
   * Opens a new or emptied file.
   *
   * @throws {HooklineError} HOOK_PERMISSION_DENIED without the right, or for a name that leads out of the
   * folder; FILE_WRITE when the file system refuses. `write` throws HOOK_BUDGET beyond `outputBytes`.
   */
  open(name: string): PluginSink {
    const { rights, audit } = this.#context;
    const [folder] = rights.fsWrite;
    const entry = { plugin: rights.plugin, permission: "fs-write", module: null } as const;
    if (folder === undefined || !isPlainName(name)) {
      audit({ ...entry, value: String(name).slice(0, NAME_MAX), decision: "deny" });
      throw this.#denied(name, folder);
    }
    const path = join(folder, ...name.split("/"));
    let descriptor: number;
    try {
      descriptor = openBelow(folder, path);
    } catch (cause) {
      audit({ ...entry, value: path, decision: "deny" });
      if (cause instanceof Outside) throw this.#denied(name, folder);
      throw new HooklineError("FILE_WRITE", {
        message: `cannot open "${path}" for ${rights.plugin}: ${causeText(cause)}`,
        fix: "check the folder, that you may write there, and the process's write permission",
        details: { file: path, plugin: rights.plugin },
        cause,
      });
    }
    audit({ ...entry, value: path, decision: "allow" });
    return this.#sink(path, descriptor);
  }

  /** Closes every file that the plugin left open. */
  [Symbol.dispose](): void {
    for (const sink of [...this.#open]) sink.close();
  }

  #sink(path: string, descriptor: number): PluginSink {
    let isOpen = true;
    const sink: PluginSink = {
      write: (chunk) => {
        if (!isOpen) {
          throw new HooklineError("FILE_WRITE", {
            message: `cannot write "${path}": the plugin closed it`,
            fix: "write before close()",
            details: { file: path },
          });
        }
        const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
        this.#spend(path, bytes.byteLength);
        for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#open.delete(sink);
        closeSync(descriptor);
      },
    };
    this.#open.add(sink);
    return sink;
  }

  #spend(path: string, byteLength: number): void {
    const { outputBytes = Infinity, rights, audit } = this.#context;
    if (this.#writtenBytes + byteLength > outputBytes) {
      const value = `outputBytes ${outputBytes}`;
      audit({ plugin: rights.plugin, permission: "budget", value, module: null, decision: "deny" });
      throw new HooklineError("HOOK_BUDGET", {
        message: `cannot write ${byteLength} bytes to "${path}": ${rights.plugin} wrote ` +
          `${this.#writtenBytes} of the ${outputBytes} bytes that its manifest allows`,
        fix: "raise budgets.outputBytes in the manifest, or write less",
        details: { plugin: rights.plugin, budget: "outputBytes", limit: outputBytes },
      });
    }
    this.#writtenBytes += byteLength;
  }

  #denied(name: string, folder: string | undefined): HooklineError {
    const { plugin } = this.#context.rights;
    return new HooklineError("HOOK_PERMISSION_DENIED", {
      message: folder === undefined
        ? `cannot open "${name}" for ${plugin}: it holds no fs-write`
        : `cannot open "${
          String(name).slice(0, 200)
        }" for ${plugin}: it leads out of "${folder}", or is a file of grants`,
      fix: folder === undefined
        ? `ask for fs-write in the manifest and run \`hookline plugin grant\` for ${plugin}, with the ` +
          "process's own write permission"
        : "give a name below the folder, with / between folders and without .. or links",
      details: { plugin, permission: "fs-write", granted: folder === undefined ? [] : [folder] },
    });
  }
}

class Outside extends Error {}

function isPlainName(name: unknown): name is string {
  return typeof name === "string" && name.length > 0 && name.length <= NAME_MAX &&
    !/[\\\0:]/.test(name) && !name.toLowerCase().endsWith(LOCK_FILE) &&
    name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Opens and empties a file after checking that it really lies in `folder`; follows no link. */
function openBelow(folder: string, path: string): number {
  mkdirSync(folder, { recursive: true });
  // One folder at a time: making them all at once would follow a link that lies on the way.
  let above = realpathSync(folder);
  for (const part of dirname(path).slice(folder.length).split(sep).filter((one) => one !== "")) {
    above = join(above, part);
    try {
      mkdirSync(above);
    } catch (cause) {
      const { code, name } = cause as { readonly code?: string; readonly name?: string };
      if (code !== "EEXIST" && name !== "AlreadyExists") throw cause;
    }
    if (realpathSync(above) !== above) throw new Outside();
  }
  const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants;
  let descriptor: number;
  try {
    descriptor = openSync(join(above, basename(path)), O_WRONLY | O_CREAT | (O_NOFOLLOW ?? 0));
  } catch (cause) {
    if ((cause as { readonly code?: string }).code === "ELOOP") throw new Outside();
    throw cause;
  }
  // A second name of a file elsewhere: emptied only after it is known to be none.
  const stat = fstatSync(descriptor);
  if (stat.isFile() && stat.nlink <= 1) {
    ftruncateSync(descriptor, 0);
    return descriptor;
  }
  closeSync(descriptor);
  throw new Outside();
}
