// Holds encoded bytes against a schema before they are decoded. protobuf-es reads a known field by its
// schema whatever wire type the file gives it, and then takes the bytes behind it for something else;
// ONNX Runtime skips such a field. A file could so show Hookline one model and ONNX Runtime another one,
// with weight files that nobody has looked at. Invariant: what passes here, both read alike.

import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { HooklineError } from "../errors/hookline_error.ts";

/** What bytes are checked against. */
export interface WireSchema {
  readonly schema: DescMessage;
  /** How deep messages may nest; the outermost is 1. */
  readonly depthMax: number;
  /** What to call the bytes in messages. */
  readonly label: string;
  /** The error for messages that nest deeper. */
  readonly tooDeep: () => HooklineError;
}

/**
 * Checks that every known field has its wire type, that there are no groups, and that every length fits.
 *
 * @throws {HooklineError} MODEL_MALFORMED, or what `tooDeep` makes.
 */
export function checkWireTypes(bytes: Uint8Array, against: WireSchema): void {
  new WireChecker(bytes, against).message(0, bytes.length, against.schema, 1);
}

interface FieldRule {
  readonly wireType: number;
  /** True for lists of numbers, which may be packed. */
  readonly mayBePacked: boolean;
  readonly message: DescMessage | null;
}

type MessageRules = readonly (FieldRule | undefined)[];

const DELIMITED = 2;

class WireChecker {
  readonly #bytes: Uint8Array;
  readonly #against: WireSchema;
  readonly #rules = new Map<DescMessage, MessageRules>();
  #offset = 0;

  constructor(bytes: Uint8Array, against: WireSchema) {
    this.#bytes = bytes;
    this.#against = against;
  }

  message(start: number, end: number, type: DescMessage, depth: number): void {
    if (depth > this.#against.depthMax) throw this.#against.tooDeep();
    const rules = this.#rulesOf(type);
    for (this.#offset = start; this.#offset < end;) {
      const tag = this.#varint(end, type);
      const wireType = tag % 8;
      const rule = rules[(tag - wireType) / 8];
      const isPacked = wireType === DELIMITED && (rule?.mayBePacked ?? false);
      if (rule !== undefined && rule.wireType !== wireType && !isPacked) {
        throw this.#malformed(
          type,
          `has wire type ${wireType} at field ${(tag - wireType) / 8}, wanted ${rule.wireType}`,
        );
      }
      const next = this.#end(wireType, end, type);
      if (rule !== undefined && rule.message !== null) {
        this.message(this.#offset, next, rule.message, depth + 1);
      }
      this.#offset = next;
    }
  }

  /** Where the field ends whose payload begins here; leaves the offset at the payload. */
  #end(wireType: number, end: number, type: DescMessage): number {
    let next: number;
    switch (wireType) {
      case 0: {
        const start = this.#offset;
        this.#varint(end, type);
        next = this.#offset;
        this.#offset = start;
        break;
      }
      case 1:
        next = this.#offset + 8;
        break;
      case DELIMITED: {
        const length = this.#varint(end, type);
        next = this.#offset + length;
        break;
      }
      case 5:
        next = this.#offset + 4;
        break;
      default:
        throw this.#malformed(type, `uses the unsupported wire type ${wireType}`);
    }
    if (next > end) throw this.#malformed(type, "holds a field that runs past its end");
    return next;
  }

  /** Exact up to 2^53; larger numbers stay large, which is all that lengths and tags need. */
  #varint(end: number, type: DescMessage): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10 && this.#offset < end; count++) {
      const byte = this.#bytes[this.#offset++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw this.#malformed(type, "holds a number that does not end");
  }

  #rulesOf(type: DescMessage): MessageRules {
    const known = this.#rules.get(type);
    if (known !== undefined) return known;
    const rules: (FieldRule | undefined)[] = [];
    for (const field of type.fields) rules[field.number] = ruleOf(field);
    this.#rules.set(type, rules);
    return rules;
  }

  #malformed(type: DescMessage, what: string): HooklineError {
    const { label } = this.#against;
    return new HooklineError("MODEL_MALFORMED", {
      message: `cannot read "${label}": a ${type.name} ${what}`,
      fix: "copy, download or export the file again; it is damaged",
      details: { path: label, message: type.typeName },
    });
  }
}

function ruleOf(field: DescField): FieldRule {
  const message = field.message ?? null;
  const isList = field.fieldKind === "list";
  const wireType = field.fieldKind === "map" || message !== null
    ? DELIMITED
    : field.scalar === undefined
    ? 0 // an enum
    : wireTypeOf(field.scalar);
  return { wireType, mayBePacked: isList && wireType !== DELIMITED, message };
}

function wireTypeOf(scalar: ScalarType): number {
  switch (scalar) {
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return 1;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 5;
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return DELIMITED;
    default:
      return 0;
  }
}
