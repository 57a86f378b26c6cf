// The example as a component, in the host's own sandbox; `cargo xtask test javascript` builds both and says where they are.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const { WINDLASS_BIN, WINDLASS_COMPONENTS } = process.env;
const folder = mkdtempSync(join(tmpdir(), "windlass-js-"));
after(() => rmSync(folder, { recursive: true }));

/** One run without a server. */
function run(handler, payload) {
  assert.ok(WINDLASS_BIN && WINDLASS_COMPONENTS, "run these tests with `cargo xtask test javascript`");
  const component = join(WINDLASS_COMPONENTS, "js-markdown.wasm");
  const ended = spawnSync(WINDLASS_BIN, ["run", component, handler, JSON.stringify(payload)], { cwd: folder, encoding: "utf8" });
  return { status: ended.status, out: ended.stdout, said: ended.stderr };
}

test("a component gives its result, logs, tells its progress and asks for a job", () => {
  const { status, out, said } = run("render", { markdown: "# A\n\n*b*\n", remember: true });
  assert.equal(status, 0, said);
  assert.deepEqual(JSON.parse(out), { html: "<h1>A</h1>\n<p><em>b</em></p>\n", headings: ["A"] });
  for (const line of [/0 % 0 parts/, /info +rendered \{"parts":\d,"headings":1\}/, /enqueue a job for remember: \["A"\]/]) {
    assert.match(said, line);
  }
});

test("what is thrown fails the run with its code, and an exception with where it was", () => {
  const broken = run("broken", {});
  assert.notEqual(broken.status, 0);
  assert.match(broken.said, /handler \(error\): TypeError: /);
  assert.match(broken.said, /handlers\.js:\d+/);
  assert.match(run("render", { markdown: "", title: "" }).said, /handler \(empty-title\): title: expected some text/);
  const again = run("remember", ["A"]);
  assert.match(again.said, /handler \(not-yet\)/);
  assert.match(again.said, /tried again in 10 ms/);
});

test("a payload that the schema does not allow is refused", () => {
  const { status, said } = run("render", { title: "a" });
  assert.notEqual(status, 0);
  assert.match(said, /markdown/);
});
