// Which hooks belong together, and which groups are switched off. It knows hooks by number only.
//
// Invariant: every hook is in `all`; a group without hooks does not exist; a refused change changes
// nothing.

import { fault, listText } from "./_fault.ts";

/** The group that every hook is in. */
export const ALL = "all";

/** Which hooks run: the union of groups, or everything else. */
export interface GroupSelection {
  /** One group or several; every hook when left out. */
  readonly groups?: string | readonly string[];
  /** True for the hooks that are in none of these groups. */
  readonly complement?: boolean;
}

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/** The groups of one editor. */
export class HookGroups {
  #members: ReadonlyMap<string, ReadonlySet<number>>;
  #off: ReadonlySet<string>;

  /** No hooks yet, or a copy. */
  constructor(from?: HookGroups) {
    this.#members = from === undefined ? new Map([[ALL, new Set()]]) : from.#members;
    this.#off = from === undefined ? new Set() : from.#off;
  }

  /** The names, `all` first, then sorted. */
  get names(): readonly string[] {
    return [ALL, ...[...this.#members.keys()].filter((name) => name !== ALL).sort()];
  }

  /** The groups that are switched off, sorted. */
  get off(): readonly string[] {
    return [...this.#off].sort();
  }

  /** The hooks of a group, in order. */
  members(group: string): readonly number[] {
    return [...this.#known(group)].sort((left, right) => left - right);
  }

  /** The groups of a hook, in the order of {@linkcode names}. */
  of(id: number): readonly string[] {
    return this.names.filter((name) => this.#members.get(name)?.has(id));
  }

  /** Puts hooks into groups; a group that does not exist is made. */
  add(ids: readonly number[], groups: readonly string[]): void {
    for (const group of groups) {
      if (NAME.test(group)) continue;
      throw fault("OPTION_INVALID", {
        message:
          `cannot make the hook group "${group}": wanted are letters, digits, ".", "_" and "-"`,
        fix: 'name the group like "layer_0"',
        details: { group },
      });
    }
    const members = new Map(this.#members);
    for (const group of new Set([ALL, ...groups])) {
      members.set(group, new Set([...members.get(group) ?? [], ...ids]));
    }
    this.#members = members;
  }

  /**
   * Takes hooks out of groups.
   *
   * @throws {HooklineError} OPTION_INVALID for `all`, an unknown group, or a hook that is not in it.
   */
  take(ids: readonly number[], groups: readonly string[]): void {
    for (const group of groups) {
      const known = this.#known(group);
      if (group === ALL) {
        throw fault("OPTION_INVALID", {
          message: 'cannot take a hook out of the group "all": every hook is in it',
          fix: "remove the hook, or switch off another group",
        });
      }
      const absent = ids.filter((id) => !known.has(id));
      if (absent.length === 0) continue;
      throw fault("OPTION_INVALID", {
        message: `cannot take hook ${
          absent.join(", ")
        } out of the group "${group}": it is not in it`,
        fix: `take out ${[...known].join(", ")}, or ask groupsOf first`,
        details: { group, hooks: absent },
      });
    }
    this.#without(ids, groups);
  }

  /** Forgets hooks that are no longer registered. */
  forget(ids: readonly number[]): void {
    this.#without(ids, this.names);
  }

  /** Switches a group off or on. */
  switch(group: string, on: boolean): void {
    this.#known(group);
    const off = new Set(this.#off);
    if (on) off.delete(group);
    else off.add(group);
    this.#off = off;
  }

  /**
   * Checks the names of a selection.
   *
   * @throws {HooklineError} OPTION_INVALID for an unknown group.
   */
  require({ groups = [] }: GroupSelection): void {
    for (const group of [groups].flat()) this.#known(group);
  }

  /**
   * The hooks that run: those of the selection that are in no group that is off. A group that has
   * vanished since it was selected has no hooks.
   */
  active({ groups = ALL, complement = false }: GroupSelection = {}): ReadonlySet<number> {
    const membersOf = (group: string) => [...this.#members.get(group) ?? []];
    const union = new Set([groups].flat().flatMap(membersOf));
    const off = new Set([...this.#off].flatMap(membersOf));
    return new Set(
      this.members(ALL).filter((id) => union.has(id) !== complement && !off.has(id)),
    );
  }

  #without(ids: readonly number[], groups: readonly string[]): void {
    const members = new Map(this.#members);
    for (const group of groups) {
      const left = new Set([...members.get(group) ?? []].filter((id) => !ids.includes(id)));
      if (left.size > 0 || group === ALL) members.set(group, left);
      else members.delete(group);
    }
    this.#members = members;
    this.#off = new Set([...this.#off].filter((group) => members.has(group)));
  }

  #known(group: string): ReadonlySet<number> {
    const found = this.#members.get(group);
    if (found !== undefined) return found;
    throw fault("OPTION_INVALID", {
      message: `cannot find the hook group "${group}"`,
      fix: `use one of ${listText(this.names)}`,
      details: { group, known: [...this.names] },
    });
  }
}
