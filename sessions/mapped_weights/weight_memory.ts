// What the pipeline may do with the memory in which the operating system holds mapped weights: find it,
// ask for it ahead of use, let go of it after use. It knows no session, no module and no tensor.
//
// Invariant: nothing here can change a number. Letting go drops clean pages of a file, which come back
// from the file when they are touched again.

import { runtimeVersion } from "../../host/versions.ts";
import { openLinuxMemory } from "./linux_memory.ts";

/** A stretch of a file. */
export interface FileRange {
  /** The file's real path. */
  readonly path: string;
  /** Where it begins in the file. */
  readonly byteOffset: number;
  /** How long it is. */
  readonly byteLength: number;
}

/** Pages of this process that show a file; addresses are multiples of the page size. */
export interface MappedArea {
  /** Address of the first byte. */
  readonly address: bigint;
  /** Length in bytes. */
  readonly byteLength: number;
  /** The file. */
  readonly path: string;
  /** Where in the file the first byte lies. */
  readonly byteOffset: number;
  /** The file's number in its file system. */
  readonly inode: bigint;
}

/** The memory of mapped weights. */
export interface WeightMemory extends Disposable {
  /** True when {@linkcode fetch} and {@linkcode release} do something. */
  readonly canSteer: boolean;
  /** Why, in words. */
  readonly because: string;
  /** What tells this processor from others, for files that are made for one; null when not known. */
  readonly processor: string | null;
  /**
   * For each group of stretches of files the pages that show them: those of private mappings that this
   * process has not written to.
   */
  areasOf(groups: readonly (readonly FileRange[])[]): readonly (readonly MappedArea[])[];
  /** Asks the system to read areas into its cache, without blocking this thread; failing is no error. */
  fetch(areas: readonly MappedArea[]): Promise<void>;
  /**
   * Takes areas out of this process's memory; the system may keep them in its cache. An area that shows
   * something else by now is left alone.
   */
  release(areas: readonly MappedArea[]): void;
  /**
   * Asks the allocator to give large buffers back to the system when they are freed, for good: activations
   * would otherwise stay in the process's heap in pieces. Costs nothing when it was asked before.
   */
  economize(): void;
}

/**
 * The memory of this process: steered where that can be done, else left to the operating system. Never
 * prompts for a permission.
 */
export function openWeightMemory(): WeightMemory {
  const linux = openLinuxMemory();
  return typeof linux === "string" ? unsteered(linux) : linux;
}

/** Memory that nobody steers. */
export function unsteered(why: string): WeightMemory {
  return {
    canSteer: false,
    because: `${why} (${runtimeVersion()})`,
    processor: null,
    areasOf: (groups) => groups.map(() => []),
    fetch: () => Promise.resolve(),
    release: () => {},
    economize: () => {},
    [Symbol.dispose]: () => {},
  };
}
