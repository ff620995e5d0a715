// Models whose Resize takes a size that ONNX Runtime knows the length of only in the whole: from numbers that
// it traced, or because the file declares it inside itself. Input `x` [n, 3, h, w], modules m0 to m4.

import { int64s, modelBytes, node, valueInfo } from "../support/build_model.ts";

const X = valueInfo("x", "float32", ["n", 3, "h", "w"]);
const first = node("Relu", ["x"], ["a"], { name: "/m0/Relu" });
const negation = node("Neg", ["a"], ["c"], { name: "/m2/Neg" });

/** `sizes` is a slice of a shape, as long as a number says that is traced from the shape of `z` [4]. */
export function tracedResize(): Uint8Array {
  return modelBytes({
    inputs: [X, valueInfo("z", "float32", [4])],
    outputs: ["y"],
    initializers: [int64s("zero", [0])],
    nodes: [
      first,
      node("Shape", ["z"], ["shape_z"], { name: "/m1/Shape" }),
      node("Gather", ["shape_z", "zero"], ["end"], { name: "/m1/Gather" }),
      negation,
      node("Shape", ["c"], ["shape_c"], { name: "/m3/Shape" }),
      node("Slice", ["shape_c", "zero", "end"], ["sizes"], { name: "/m3/Slice" }),
      node("Resize", ["c", "", "", "sizes"], ["y"], { name: "/m4/Resize" }),
    ],
  });
}

/** `sizes` is one more than where the vector `z` is not zero; the file says that these are four numbers. */
export function declaredResize(): Uint8Array {
  return modelBytes({
    inputs: [X, valueInfo("z", "float32", ["k"])],
    outputs: ["y"],
    valueInfo: [valueInfo("sizes", "int64", [4])],
    initializers: [int64s("one", [1])],
    nodes: [
      first,
      node("NonZero", ["z"], ["places"], { name: "/m1/NonZero" }),
      node("Squeeze", ["places"], ["flat"], { name: "/m1/Squeeze" }),
      negation,
      node("Add", ["flat", "one"], ["sizes"], { name: "/m3/Add" }),
      node("Resize", ["c", "", "", "sizes"], ["y"], { name: "/m4/Resize" }),
    ],
  });
}
