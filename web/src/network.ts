/* The network in ONNX Runtime Web: frames in, logits out. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { PageError } from "./segmenter.ts";
import type { Logits } from "./upsample.ts";

export type Provider = "wasm" | "webgpu";

/** Files of each runtime, which build.mjs puts beside the page. */
const RUNTIMES: Record<Provider, string> = {
  wasm: "ort-wasm-simd-threaded",
  webgpu: "ort-wasm-simd-threaded.asyncify",
};

export class Network {
  private constructor(
    private readonly session: InferenceSession,
    private readonly tensor: typeof Tensor,
  ) {}

  /** Reads weights and gets the runtime ready. `base` is the page's folder. */
  static async open(base: string, file: string, provider: Provider, threads: number): Promise<Network> {
    const ort = await (provider === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
    const runtime = new URL(RUNTIMES[provider], base).href;
    ort.env.wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
    ort.env.wasm.numThreads = threads;
    const answer = await fetch(new URL(file, base));
    if (!answer.ok) throw new PageError(`The weights could not be loaded: ${answer.status} for ${file}.`);
    const session = await ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), {
      executionProviders: [provider],
      logSeverityLevel: 3, // errors only
    });
    return new Network(session, ort.Tensor);
  }

  /** H x W x 3 bytes -> K x h x w logits. */
  async run(rgb: Uint8Array, height: number, width: number): Promise<Logits> {
    const frames = new this.tensor("uint8", rgb, [1, height, width, 3]);
    const { logits } = await this.session.run({ frames });
    const [, classes, h, w] = logits.dims;
    const data = (await logits.getData()) as Float32Array;
    logits.dispose();
    return { data, classes, height: h, width: w };
  }
}
