// A shallow copy of a protobuf message with some fields changed. Spreading alone is not enough: a
// spread message keeps its `$typeName` and is taken as it is, without the defaults of unset fields; and
// `create` forgets the fields that a newer schema knows.

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
  const { $typeName: _, $unknown: __, ...init } = { ...message, ...changes } as Record<
    string,
    unknown
  >;
  const copy = create(schema, init as MessageInitShape<Desc>);
  if (message.$unknown !== undefined) copy.$unknown = message.$unknown;
  return copy;
}
