/* The page's own arithmetic for test_kernels.py: a list of tasks as JSON on standard input, their results on output. */

import { readFileSync } from "node:fs";
import { confidence } from "../../web/src/confidence.ts";
import { encodeGreyPng } from "../../web/src/png.ts";
import { networkSize, preprocess } from "../../web/src/resize.ts";
import { upsampleArgmax } from "../../web/src/upsample.ts";

interface Task {
  what: "resize" | "size" | "upsample" | "confidence" | "png";
  data: string; // base64
  shape: number[]; // of the data
  size: number[]; // height and width of the result
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64")); // a copy: aligned
}

async function resultOf({ what, data, shape, size: [height, width] }: Task): Promise<Uint8Array> {
  const bytes = bytesOf(data);
  if (what === "resize") return preprocess(bytes, shape[1], shape[0], width, height);
  if (what === "png") return new Uint8Array(await (await encodeGreyPng(bytes, shape[1])).arrayBuffer());
  if (what === "size") {
    const of = networkSize(shape[1], shape[0], height);
    return new Uint8Array(Int32Array.of(of.height, of.width).buffer);
  }
  const logits = { data: new Float32Array(bytes.buffer), classes: shape[0], height: shape[1], width: shape[2] };
  const classMap = upsampleArgmax(logits, height, width);
  return what === "upsample" ? classMap : confidence(logits, classMap, height, width);
}

const tasks = JSON.parse(readFileSync(0, "utf8")) as Task[];
const results = await Promise.all(tasks.map(resultOf));
console.log(JSON.stringify(results.map((bytes) => Buffer.from(bytes).toString("base64"))));
