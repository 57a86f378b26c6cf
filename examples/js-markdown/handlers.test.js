// The handlers as plain functions, without a host.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Fatal, Retry } from "windlass-guest";
import { run, TestContext } from "windlass-guest/testing";

import { count, remember, render } from "./handlers.js";

test("Markdown becomes HTML, and its headings are told", () => {
  const context = new TestContext();
  const made = run(render, { markdown: "# A\n\n*b*\n\n| x |\n| --- |\n| 1 |\n", title: "T & <t>", remember: true }, context);
  assert.match(made.html, /^<h1>T &amp; &lt;t><\/h1>\n<h1>A<\/h1>\n<p><em>b<\/em><\/p>\n<table>/);
  assert.deepEqual(made.headings, ["A"]);
  assert.deepEqual(context.logs, [["info", "rendered"]]);
  assert.deepEqual(context.followUps[0], { handler: "remember", payload: ["A"], tags: ["remembered"] });
  assert.deepEqual([context.followUps[1].handler, context.followUps[1].after], ["count", [context.id]]);
  assert.throws(() => run(render, { markdown: "", title: "" }), Fatal);
});

test("headings are kept for the next attempt", () => {
  const context = new TestContext();
  assert.throws(() => run(remember, ["A"], context), Retry);
  assert.deepEqual(run(remember, ["A"], context), ["A"]);
});

test("the headings of the pages before are counted", () => {
  const context = new TestContext();
  context.addParent("a", { html: "", headings: ["A", "B"] });
  context.addParent("b", { html: "", headings: ["C"] });
  assert.equal(run(count, null, context), 3);
});
