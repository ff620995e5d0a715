// Reads the elements of a TensorProto that lie inside it. External data are not its business: it never
// opens a file.
//
// Source: onnx.proto, ONNX 1.20: raw_data is little-endian; float16, bfloat16 and 8-bit floats in
// int32_data are bit patterns, one per entry.

import type { TensorProto } from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { dtypeFromOnnx, storedByteLength } from "../tensor/dtype.ts";
import { allocate, elementCount, type Tensor, tensor, type TensorData } from "../tensor/tensor.ts";

/**
 * The tensor that a proto holds; its data are a copy.
 *
 * @throws {HooklineError} MODEL_MALFORMED when the elements do not fit dtype and shape,
 * MODEL_DTYPE_UNKNOWN for an element type that ONNX does not define, TENSOR_DTYPE for one that
 * JavaScript cannot hold, MODEL_UNSUPPORTED when the elements lie outside the proto.
 */
export function decodeTensorProto(proto: TensorProto): Tensor {
  const info = dtypeFromOnnx(proto.dataType);
  if (info === undefined) {
    throw new HooklineError("MODEL_DTYPE_UNKNOWN", {
      message:
        `cannot read tensor "${proto.name}": it has the element type ${proto.dataType}, which ONNX does not define`,
      fix: "export the model again, or update Hookline if the type is newer than ONNX 1.20",
      details: { tensor: proto.name, onnxType: proto.dataType },
    });
  }
  if (proto.dataLocation === 1) {
    throw new HooklineError("MODEL_UNSUPPORTED", {
      message: `cannot read tensor "${proto.name}": its elements lie in an external file`,
      fix: "read it through the model that it belongs to",
      details: { tensor: proto.name },
    });
  }
  const shape = proto.dims.map(Number);
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count) || shape.some((size) => size < 0)) {
    throw malformed(proto, `it has the impossible shape [${shape.join(", ")}]`);
  }
  if (info.dtype === "string") {
    const decoder = new TextDecoder();
    return checked(proto, shape, proto.stringData.map((bytes) => decoder.decode(bytes)), count);
  }
  if (proto.rawData.byteLength > 0) {
    const wanted = storedByteLength(info, count);
    if (proto.rawData.byteLength !== wanted) {
      throw malformed(
        proto,
        `it holds ${proto.rawData.byteLength} bytes, its shape wants ${wanted}`,
      );
    }
    const data = allocate(info.dtype, count);
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength).set(proto.rawData);
    return checked(proto, shape, data, count);
  }
  return checked(proto, shape, typedElements(proto, info.dtype), count);
}

function typedElements(proto: TensorProto, dtype: Tensor["dtype"]): TensorData {
  switch (dtype) {
    case "float32":
      return Float32Array.from(proto.floatData);
    case "float64":
      return Float64Array.from(proto.doubleData);
    case "int64":
      return BigInt64Array.from(proto.int64Data);
    case "uint64":
      return BigUint64Array.from(proto.uint64Data);
    case "uint32":
      return Uint32Array.from(proto.uint64Data, Number);
    case "float16": {
      const bits = Uint16Array.from(proto.int32Data);
      const data = allocate("float16", bits.length);
      new Uint16Array(data.buffer).set(bits);
      return data;
    }
    default: {
      const data = allocate(dtype, proto.int32Data.length) as Int32Array;
      data.set(proto.int32Data);
      return data;
    }
  }
}

function checked(
  proto: TensorProto,
  shape: readonly number[],
  data: TensorData,
  count: number,
): Tensor {
  if (data.length !== count) {
    throw malformed(
      proto,
      `it holds ${data.length} elements, its shape [${shape.join(", ")}] wants ${count}`,
    );
  }
  return tensor(dtypeFromOnnx(proto.dataType)?.dtype ?? "float32", shape, data);
}

function malformed(proto: TensorProto, what: string): HooklineError {
  return new HooklineError("MODEL_MALFORMED", {
    message: `cannot read tensor "${proto.name}": ${what}`,
    fix: "export the model again; the tensor is damaged",
    details: { tensor: proto.name },
  });
}
