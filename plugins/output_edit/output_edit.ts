// The plugin form: edits for the models of a pipeline, made when it opens and gone when it closes.

import type { Model, Plugin, PluginContext } from "../../mod.ts";
import { type EditSet, replayEdits } from "./edit_document.ts";
import { type OutputEditorOptions, requireKnown } from "./editor_options.ts";
import { fault } from "./_fault.ts";
import { OutputEditor } from "./output_editor.ts";

/** Options of {@linkcode outputEdit}. */
export interface OutputEditOptions extends OutputEditorOptions {
  /** Saved edits to register. */
  readonly edits?: EditSet;
  /** The one model of the pipeline that is edited; every model when left out. */
  readonly model?: string;
  /** Registers hook functions, groups and helpers; called once for each model. */
  readonly setup?: (editor: OutputEditor, context: PluginContext) => void;
}

/**
 * A plugin that edits what modules compute.
 *
 * @throws {HooklineError} OPTION_INVALID for an unknown option, or one of another kind.
 *
 * @example
 * ```ts
 * import { definePipeline } from "@hookline/hookline";
 * import { HookFunction, outputEdit, scale } from "@hookline/hookline/plugins/output-edit";
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   plugins: [outputEdit({
 *     model: "encoder",
 *     setup: (editor) =>
 *       void editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) })),
 *   })],
 * }).open();
 * console.log(pipeline.models.encoder.plan().kind); // split
 * ```
 */
export function outputEdit(options: OutputEditOptions = {}): Plugin {
  const { edits, model: wanted, setup, ...editorOptions } = options;
  requireEdits(edits);
  if (setup !== undefined && typeof setup !== "function") {
    throw fault("OPTION_INVALID", {
      message: `cannot edit outputs: setup is of type ${typeof setup}, wanted is a function`,
      fix: "give a function that registers hook functions on the editor",
      details: { option: "setup" },
    });
  }
  requireKnown(editorOptions);
  return {
    name: editorOptions.name ?? "output-edit",
    attach(model: Model, context: PluginContext): OutputEditor | void {
      if (wanted !== undefined && wanted !== context.modelName) return;
      const editor = new OutputEditor(model, editorOptions);
      try {
        if (edits !== undefined) replayEdits(editor, edits);
        setup?.(editor, context);
      } catch (error) {
        editor.restore();
        throw error;
      }
      return editor;
    },
  };
}

function requireEdits(edits: EditSet | undefined): void {
  if (edits === undefined || (Array.isArray(edits?.entries) && Array.isArray(edits.off))) return;
  throw fault("OPTION_INVALID", {
    message: "cannot edit outputs: edits is no set of edits",
    fix: "give what parseEdits() or loadEdits() resolved to",
    details: { option: "edits" },
  });
}
