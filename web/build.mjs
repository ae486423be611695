/* Writes web/dist, a folder that any static server can serve: node build.mjs [--out DIR] */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { metadataOf } from "./onnx-metadata.mjs";

const WEIGHTS = ["camvid", "camvid-int8"];
const RUNTIMES = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"]; // CPU; WebGPU

const web = dirname(fileURLToPath(import.meta.url));
const root = dirname(web);
const runtime = join(web, "node_modules/onnxruntime-web/dist");
const dist = process.argv[2] === "--out" ? process.argv[3] : join(web, "dist");

/** The colours of overlays: those of the package, which are chosen for colour-blind people, too. */
function clearColours(names) {
  const program =
    "import json, runpy, sys; module = runpy.run_path(sys.argv[1]); " +
    "print(json.dumps(module['clear_colours'](sys.argv[2:])))";
  const file = join(root, "src/bcpnet/drawing/clear_colours.py");
  const python = process.env.PYTHON ?? "python3"; // its path may be relative to the root
  return JSON.parse(execFileSync(python, ["-c", program, file, ...names], { cwd: root, encoding: "utf8" }));
}

function describeWeights(name) {
  const path = join(root, "src/bcpnet/weights", `${name}.onnx`);
  const metadata = JSON.parse(metadataOf(readFileSync(path)).get("bcpnet"));
  const { names } = metadata.classes;
  return {
    name,
    file: `models/${name}.onnx`,
    bytes: statSync(path).size,
    shortSide: metadata.short_side,
    classes: names,
    colours: clearColours(names),
  };
}

function copy(from, to = basename(from)) {
  copyFileSync(from, join(dist, to));
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, "models"), { recursive: true });
for (const name of WEIGHTS)
  for (const ending of ["onnx", "md"])
    copy(join(root, "src/bcpnet/weights", `${name}.${ending}`), `models/${name}.${ending}`);
for (const name of RUNTIMES) for (const ending of ["mjs", "wasm"]) copy(join(runtime, `${name}.${ending}`));
copy(join(web, "icon.svg"));
copy(join(root, "examples/streets.mp4"), "example.mp4");
copy(join(root, "LICENSE"));
const runtimeBytes = statSync(join(runtime, `${RUNTIMES[0]}.wasm`)).size;
writeFileSync(join(dist, "models.json"), JSON.stringify({ runtimeBytes, webgpu: true, weights: WEIGHTS.map(describeWeights) }));
await build({
  entryPoints: [...["app", "worker", "measure"].map((name) => join(web, "src", `${name}.ts`)), join(web, "style.css")],
  outdir: dist,
  entryNames: "[name]",
  bundle: true,
  splitting: true,
  chunkNames: "part-[hash]",
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "linked",
  logLevel: "warning",
});
copy(join(web, "index.html")); // the last: where it lies, all lies
