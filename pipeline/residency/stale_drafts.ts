// Removes what writers that were killed left in the cache of prepacked weights. Whether their process lives
// cannot be asked: it may run in another container or on another machine. What has not changed for an hour
// is nobody's; should its writer come back all the same, it finds its draft gone and writes another.

import type { Stats } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** A folder that is being written: its name to be, who writes it, and what it was moved away as. */
const DRAFT_NAME = /^[0-9a-f]{64}\.[0-9a-f-]{36}(\.[a-z]+)*$/;
const SILENT_MS = 60 * 60 * 1000;

/**
 * Removes drafts beside `own`, a draft that was made a moment ago: it tells what time it is for the file
 * system, whose clock need not be this machine's. What cannot be removed stays.
 */
export async function removeStaleDrafts(root: string, own: string): Promise<void> {
  const { mtimeMs: nowMs } = await stat(join(root, own));
  const names = (await readdir(root)).filter((name) => name !== own && DRAFT_NAME.test(name));
  for (const name of names) {
    try {
      if (nowMs - await changedMs(join(root, name)) > SILENT_MS) await remove(join(root, name));
    } catch {
      // Somebody else removed it, or finished it, meanwhile; or it is not ours to remove.
    }
  }
}

/** When the folder or a file in it changed last. */
async function changedMs(folder: string): Promise<number> {
  const names = await readdir(folder);
  const all = [folder, ...names.map((name) => join(folder, name))];
  const found: Stats[] = [];
  for (const path of all) found.push(await stat(path));
  return Math.max(...found.map(({ mtimeMs }) => mtimeMs));
}

/** Moved first, as a whole: a writer that comes back must not put half of it under its name. */
async function remove(draft: string): Promise<void> {
  const moved = `${draft}.stale`;
  await rename(draft, moved);
  await rm(moved, { recursive: true, force: true });
}
