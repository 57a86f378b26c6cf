// New projects, and the page of the documentation: made, tested, built and deployed as they are printed.
// `cargo xtask test javascript` says where the program and the page are.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";

const { WINDLASS_BIN, WINDLASS_PAGE } = process.env;
assert.ok(WINDLASS_BIN && WINDLASS_PAGE, "run these tests with `cargo xtask test javascript`");
const folder = mkdtempSync(join(tmpdir(), "windlass-js-"));
after(() => rmSync(folder, { recursive: true }));

/** Types commands in a shell that finds `windlass`, and stops where something fails. */
function typed(commands, environment = {}) {
  const env = { ...process.env, PATH: `${dirname(WINDLASS_BIN)}:${process.env.PATH}`, ...environment };
  // Tests that are run by a test would else run nothing.
  delete env.NODE_TEST_CONTEXT;
  return spawnSync("bash", ["-euc", commands], { cwd: folder, env, encoding: "utf8" });
}

/** A host at a free port, ready. */
async function host() {
  const port = await new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
  const log = openSync(join(folder, "host.log"), "w");
  const serve = ["serve", "--storage", `sqlite:${join(folder, "jobs.db")}`, "--listen", `127.0.0.1:${port}`];
  const child = spawn(WINDLASS_BIN, serve, { cwd: folder, stdio: ["ignore", log, log] });
  closeSync(log);
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    assert.equal(child.exitCode, null, readFileSync(join(folder, "host.log"), "utf8"));
    const ready = await fetch(`${url}/readyz`).catch(() => ({ ok: false }));
    if (ready.ok) return { url, stop: () => new Promise((resolve) => child.once("exit", resolve) && child.kill()) };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a new project does what is printed when it is made", async () => {
  const made = typed("windlass new parcels --lang js");
  assert.equal(made.status, 0, made.stderr);
  const lines = made.stdout.split("\n").filter((line) => line.startsWith("  "));
  const { url, stop } = await host();
  try {
    const ended = typed(lines.join("\n"), { WINDLASS_URL: url });
    assert.equal(ended.status, 0, ended.stdout + ended.stderr);
    assert.match(ended.stdout, /pass 2\n/);
    assert.match(ended.stdout, /parcels\.wasm is the component of parcels 0\.1\.0 \(/);
    // Once from the sandbox alone, once from the host.
    assert.equal(ended.stdout.split("\n").filter((line) => line === '"Hello, Ada!"').length, 2, ended.stdout);
  } finally {
    await stop();
  }
  writeFileSync(join(folder, "parcels/handlers.js"), "export const greet = (;\n");
  const broken = typed("windlass build parcels");
  assert.equal(broken.status, 1);
  assert.match(broken.stderr, /failed to build: `node node_modules\/\.bin\/componentize-qjs/);
});

test("the page of handlers in JavaScript does what it says", () => {
  const page = readFileSync(WINDLASS_PAGE, "utf8");
  const blocks = [...page.matchAll(/<!-- (?<note>[^\n]*) -->\n```(?<language>\w+)\n(?<text>.*?)^```$/gms)].map((found) => found.groups);
  const code = page.match(/^```js$/gm).length;
  assert.equal(blocks.filter(({ note }) => note.startsWith("file: ")).length, code, "there is code that is no file");
  const script = blocks.map(({ note, language, text }) => {
    if (note.startsWith("file: ")) return `cat > ${note.slice(6)} <<'END OF THE FILE'\n${text}END OF THE FILE\n`;
    return language === "sh" ? text : "";
  });
  const ended = typed(script.join(""));
  assert.equal(ended.status, 0, ended.stdout + ended.stderr);
  const [shown] = blocks.filter(({ note }) => note.startsWith("prints"));
  assert.ok(ended.stdout.includes(`\n${shown.text}`), ended.stdout);
  assert.match(ended.stdout, /pass 3\n/);
});
