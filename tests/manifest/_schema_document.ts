// The JSON Schema of manifests, made from the one source, and a way to write it.
// Usage: deno run --allow-read --allow-write --allow-env tests/manifest/_schema_document.ts

import { join } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import { manifestSchema } from "../../manifest/manifest_schema.ts";
import { ROOT } from "../suites.ts";

/** Where the generated schema lies. */
export const SCHEMA_FILE: string = join(ROOT, "manifest", "plugin.schema.json");

/** The schema as text. */
export function schemaText(): string {
  const schema = toJsonSchema(manifestSchema(), { target: "draft-2020-12", typeMode: "input" });
  return `${JSON.stringify(schema, null, 2)}\n`;
}

if (import.meta.main) await Deno.writeTextFile(SCHEMA_FILE, schemaText());
