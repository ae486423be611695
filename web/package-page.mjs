/* Puts the page into the Python package, where `bcpnet serve` finds it: node package-page.mjs [--out DIR].
   It leaves out the weights, which the package has already, and the runtime for WebGPU, which would double the page. */

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const RUNTIME = "ort-wasm-simd-threaded.wasm";

const web = dirname(fileURLToPath(import.meta.url));
const dist = join(web, "dist");
const page = process.argv[2] === "--out" ? process.argv[3] : join(dirname(web), "src/bcpnet/serving/page");

const leftOut = (path) => /[\\/](models|measure\.js|.*\.asyncify\.(mjs|wasm))$/.test(path);

rmSync(page, { recursive: true, force: true });
cpSync(dist, page, { recursive: true, filter: (path) => !leftOut(path) && !path.endsWith("index.html") });
const runtime = gzipSync(readFileSync(join(page, RUNTIME)), { level: 9 });
writeFileSync(join(page, `${RUNTIME}.gz`), runtime);
rmSync(join(page, RUNTIME));
const listed = JSON.parse(readFileSync(join(dist, "models.json"), "utf8"));
const here = { ...listed, runtimeBytes: runtime.length, webgpu: false };
writeFileSync(join(page, "models.json"), JSON.stringify(here));
cpSync(join(dist, "index.html"), join(page, "index.html")); // the last: where it lies, all lies
