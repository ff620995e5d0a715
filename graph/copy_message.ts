// A shallow copy of a protobuf message with some fields changed. Spreading alone is not enough: a
// spread message keeps its `$typeName` and is taken as it is, without the defaults of unset fields.

import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

/** A copy of `message` in which `changes` replace fields; unchanged fields are shared, not copied. */
export function copyMessage<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  changes: Partial<MessageShape<Desc>>,
): MessageShape<Desc> {
  const { $typeName: _, ...init } = { ...message, ...changes } as Record<string, unknown>;
  return create(schema, init as MessageInitShape<Desc>);
}
