import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { TensorProtoSchema } from "onnx-buf";
import { decodeTensorProto } from "../../graph/tensor_proto.ts";
import { tensorBytes } from "../../tensor/tensor.ts";

const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);

Deno.test("decodeTensorProto() reads raw data of any alignment as a copy", () => {
  const backing = new Uint8Array(13);
  new DataView(backing.buffer).setFloat32(5, 1.5, true);
  const rawData = backing.subarray(5, 9);
  const value = decodeTensorProto(create(TensorProtoSchema, { dims: [1n], dataType: 1, rawData }));
  backing.fill(0);
  assert.deepEqual([...value.data as Float32Array], [1.5]);
});

Deno.test("decodeTensorProto() reads typed fields, half floats as bit patterns", () => {
  const int64 = decodeTensorProto(
    create(TensorProtoSchema, { dims: [2n], dataType: 7, int64Data: [1n, -1n] }),
  );
  assert.deepEqual([...int64.data as BigInt64Array], [1n, -1n]);
  const half = decodeTensorProto(
    create(TensorProtoSchema, { dims: [1n], dataType: 10, int32Data: [0x3c00] }),
  );
  assert.deepEqual([...tensorBytes(half)], [0x00, 0x3c]);
  const flag = decodeTensorProto(
    create(TensorProtoSchema, { dims: [2n], dataType: 9, int32Data: [0, 1] }),
  );
  assert.deepEqual([...flag.data as Uint8Array], [0, 1]);
  const text = decodeTensorProto(
    create(TensorProtoSchema, { dims: [1n], dataType: 8, stringData: [bytes(0xc3, 0xa9)] }),
  );
  assert.deepEqual(text.data, ["é"]);
  const wide = decodeTensorProto(
    create(TensorProtoSchema, { dims: [1n], dataType: 12, uint64Data: [4_000_000_000n] }),
  );
  assert.deepEqual([...wide.data as Uint32Array], [4_000_000_000]);
});

Deno.test("decodeTensorProto() refuses what does not fit", () => {
  const decode = (init: Parameters<typeof create<typeof TensorProtoSchema>>[1]) => () =>
    decodeTensorProto(create(TensorProtoSchema, init));
  assert.throws(decode({ dims: [2n], dataType: 1, rawData: bytes(0, 0, 0) }), {
    code: "MODEL_MALFORMED",
  });
  assert.throws(decode({ dims: [2n], dataType: 1, floatData: [1] }), { code: "MODEL_MALFORMED" });
  assert.throws(decode({ dims: [-1n], dataType: 1 }), { code: "MODEL_MALFORMED" });
  assert.throws(decode({ dims: [1n << 40n, 1n << 40n], dataType: 1 }), { code: "MODEL_MALFORMED" });
  assert.throws(decode({ dims: [1n], dataType: 99 }), { code: "MODEL_DTYPE_UNKNOWN" });
  assert.throws(decode({ dims: [2n], dataType: 22, rawData: bytes(1) }), { code: "TENSOR_DTYPE" });
  assert.throws(decode({ dims: [1n], dataType: 1, dataLocation: 1 }), {
    code: "MODEL_UNSUPPORTED",
  });
});
