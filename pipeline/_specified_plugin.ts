// What both kinds of loaded plugins say of themselves, taken from what they were made from.

import type { EffectiveRights } from "../manifest/effective_rights.ts";
import { newTally, type PluginTally } from "../manifest/guarded_hook.ts";
import type { IntegrityState } from "../manifest/integrity.ts";
import type { IsolationLevel, PluginManifest } from "../manifest/plugin_manifest.ts";
import type { PluginSpec } from "./load_plugin.ts";

/** The facts of a plugin that was loaded, hosted or made by a factory. */
export abstract class SpecifiedPlugin {
  readonly name: string;
  readonly requires: readonly string[];
  readonly manifest: PluginManifest;
  readonly rights: EffectiveRights;
  readonly level: IsolationLevel;
  readonly integrity: IntegrityState;
  readonly tally: PluginTally = newTally();
  readonly root: string;
  protected readonly spec: PluginSpec;

  /** Loads nothing yet. */
  constructor(spec: PluginSpec) {
    const { manifest, root } = spec.folder;
    this.name = manifest.name;
    this.requires = manifest.order.requires;
    this.manifest = manifest;
    this.rights = spec.rights;
    this.level = spec.level;
    this.integrity = spec.integrity;
    this.root = root;
    this.spec = spec;
  }
}
